"""Times one training step: ctxenc, the same with plain `lax` convolutions, and PyTorch.

    pip install -e ".[bench]"
    python benchmarks/train_step.py [--batch 64] [--rounds 15] [--models cifar tf_original …]

In float32, and in bfloat16: `precision=bfloat16` here, autocast there. The contenders take turns
within each round, so that a machine whose speed drifts slows all of them. PyTorch's best of eager,
eager channels-last and compiled channels-last counts. The arithmetic floor is the step's
floating-point operations, as PyTorch's counter counts its convolutions and products, at the rate at
which JAX multiplies 2048 × 2048 matrices of the same precision, measured in the same rounds. The
last line printed is one JSON object.
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_gan
from models import MODELS, SIZES
from rich.console import Console
from rich.table import Table
from torch._functorch import config as functorch_config
from torch.utils.flop_counter import FlopCounterMode

from ctxenc import step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.ops.platforms import written_for
from ctxenc.runtime import keep_memory

Step = Callable[[], object]

MATRIX = 2048
PRECISIONS = ("float32", "bfloat16")
SLOW = ("lax",)  # taken once in four rounds: they are several times slower and need fewer samples


def images(model: str, batch: int) -> np.ndarray:
    """Noise: speed does not depend on what is in a picture."""
    size = SIZES[model]
    return np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)


def ours(model: str, batch: int, precision: str, *, plain: bool) -> Step:
    """A function that takes one step, with our convolutions or with plain `lax` ones."""
    config = check(compose([*MODELS[model], f"batch_size={batch}", f"precision={precision}"]))
    built = build.model(config)
    hyper = build.hyperparameters(config, np.ones(3, np.float32), 1000)
    key, pixels = jax.random.key(0), jnp.asarray(images(model, batch))
    state = step.init(built, key, SIZES[model])
    one = functools.partial(step.train_step.__wrapped__, built)  # type: ignore[attr-defined]
    with written_for("tpu" if plain else None):  # a TPU's convolutions are `lax`'s
        program = jax.jit(one, donate_argnums=0).lower(state, pixels, hyper, key).compile()
    holder = [state]

    def take() -> object:
        holder[0], _ = program(holder[0], pixels, hyper, key)
        return jax.block_until_ready(holder[0])

    return take


def torchs(model: str, batch: int, precision: str) -> dict[str, Step]:
    """PyTorch's steps, by name."""
    pixels = images(model, batch).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    make = functools.partial(
        torch_gan.train_step, model, torch.from_numpy(pixels), bfloat16=precision == "bfloat16"
    )
    return {
        f"torch eager {precision}": make(channels_last=False, compiled=False),
        f"torch eager {precision}, channels last": make(channels_last=True, compiled=False),
        f"torch compiled {precision}, channels last": make(channels_last=True, compiled=True),
    }


def matrix_product(precision: str) -> Step:
    """One product of two large matrices with a float32 result."""
    a = jnp.ones((MATRIX, MATRIX), precision)
    multiply = jax.jit(functools.partial(jnp.dot, preferred_element_type=jnp.float32))
    return lambda: jax.block_until_ready(multiply(a, a))


def measure(contenders: dict[str, Step], rounds: int) -> dict[str, float]:
    """Each contender's median milliseconds; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()  # compiles
        contender()
    for turn in range(rounds):
        for name, contender in contenders.items():
            if name in SLOW and turn % 4:
                continue
            start = time.perf_counter()
            contender()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def compare(model: str, options: argparse.Namespace, console: Console) -> dict[str, float]:
    """Print one model's table and return its ratios."""
    batch, contenders = options.batch, {}
    for precision in PRECISIONS:
        contenders[f"ctxenc {precision}"] = ours(model, batch, precision, plain=False)
        contenders |= torchs(model, batch, precision)
        contenders[f"matrix {precision}"] = matrix_product(precision)
    if options.lax:
        contenders["lax"] = ours(model, batch, "float32", plain=True)
    with FlopCounterMode(display=False) as counter:
        contenders["torch eager float32"]()
    flops = counter.get_total_flops()
    ms = measure(contenders, options.rounds)
    rates = {p: 2 * MATRIX**3 / ms.pop(f"matrix {p}") * 1e3 for p in PRECISIONS}
    table = Table("", "ms a step", "images/s", title=f"{model}, batch {batch}")
    for name, value in sorted(ms.items(), key=lambda item: item[1]):
        table.add_row(name, f"{value:.0f}", f"{1e3 * batch / value:.0f}")
    for precision, rate in rates.items():
        floor = f"floor: {flops / 1e9:.1f} GFLOP at {rate / 1e9:.0f} GFLOP/s ({precision})"
        table.add_row(floor, f"{flops / rate * 1e3:.0f}")
    console.print(table)
    return ratios(ms, {p: flops / rate * 1e3 for p, rate in rates.items()})


def ratios(ms: dict[str, float], floors: dict[str, float]) -> dict[str, float]:
    """What is said of a model: our milliseconds by precision, and how others compare with them."""
    torchs = {name: value for name, value in ms.items() if name.startswith("torch")}
    found = {}
    for precision, floor in floors.items():
        own = ms[f"ctxenc {precision}"]
        same = min(value for name, value in torchs.items() if precision in name)
        found[f"{precision}_ms"] = round(own, 1)
        found[f"{precision}_vs_torch"] = round(same / own, 3)
        found[f"{precision}_vs_torchs_best"] = round(min(torchs.values()) / own, 3)
        found[f"{precision}_of_matrix_rate"] = round(floor / own, 3)
    if "lax" in ms:
        found["float32_vs_lax"] = round(ms["lax"] / ms["ctxenc float32"], 3)
    return found


def main() -> None:
    """Read the options, measure each model, print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=["cifar", "tf_original"], choices=MODELS)
    parser.add_argument("--no-lax", action="store_false", dest="lax", help="leave plain `lax` out")
    options = parser.parse_args()
    keep_memory()  # as every training process does; PyTorch's steps have it too
    # Nested autograd through a compiled network needs its buffers kept.
    functorch_config.donated_buffer = False
    console = Console(width=100)
    print(json.dumps({model: compare(model, options, console) for model in options.models}))


if __name__ == "__main__":
    main()
