"""Times one training step: ctxenc, the same with plain `lax` convolutions, and PyTorch.

    pip install -e ".[bench]"
    python benchmarks/train_step.py [--batch 64] [--rounds 15] [--models cifar tf_original]

The contenders take turns within each round, so that a machine whose speed drifts slows all of
them. PyTorch's best of eager, eager channels-last and compiled channels-last counts. The arithmetic
floor is the step's floating-point operations, as PyTorch's counter counts its convolutions and
products, at the rate this machine multiplies 2048 × 2048 matrices, measured in the same rounds. The
last line printed is one JSON object.
"""

import argparse
import contextlib
import functools
import json
import statistics
import time
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_gan
from jax import lax
from rich.console import Console
from rich.table import Table
from torch._functorch import config as functorch_config
from torch.utils.flop_counter import FlopCounterMode

from ctxenc import step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.runtime import keep_memory

Step = Callable[[], object]

MATRIX = 2048
AS_TORCHS = ("loss=joint", "optimizer=adam", "ema_decay=null")
SLOW = ("lax",)  # taken once in four rounds: they are several times slower and need fewer samples


def images(batch: int) -> np.ndarray:
    """Noise: speed does not depend on what is in a picture."""
    return np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3), np.uint8)


def elsewhere(*operands: jax.Array, cpu: object, default: Callable[..., jax.Array]) -> jax.Array:
    """In place of `lax.platform_dependent`: what other platforms compute, `lax`'s convolutions."""
    return default(*operands)


def ours(model: str, batch: int, *, plain: bool) -> Step:
    """A function that takes one step, with our convolutions or with plain `lax` ones."""
    config = check(compose([f"model={model}", f"batch_size={batch}", *AS_TORCHS]))
    built = build.model(config)
    hyper = build.hyperparameters(config, np.ones(3, np.float32), 1000)
    key, pixels = jax.random.key(0), jnp.asarray(images(batch))
    state = step.init(built, key, 32)
    # A function of its own, so that no trace is shared between the two ways to convolve.
    one = functools.partial(step.train_step.__wrapped__, built)  # type: ignore[attr-defined]
    with contextlib.ExitStack() as patches:
        if plain:
            patches.enter_context(mock.patch.object(lax, "platform_dependent", elsewhere))
        program = jax.jit(one, donate_argnums=0).lower(state, pixels, hyper, key).compile()
    holder = [state]

    def take() -> object:
        holder[0], _ = program(holder[0], pixels, hyper, key)
        return jax.block_until_ready(holder[0])

    return take


def torchs(model: str, batch: int) -> dict[str, Step]:
    """PyTorch's steps, by name."""
    pixels = torch.from_numpy(images(batch).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
    bottleneck = {"cifar": None, "tf_original": 4000}[model]
    make = functools.partial(torch_gan.train_step, bottleneck, pixels)
    return {
        "torch eager": make(channels_last=False, compiled=False),
        "torch eager, channels last": make(channels_last=True, compiled=False),
        "torch compiled, channels last": make(channels_last=True, compiled=True),
    }


def matrix_product() -> Step:
    """One product of two large float32 matrices."""
    a = jnp.ones((MATRIX, MATRIX))
    multiply = jax.jit(jnp.dot)
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


def compare(model: str, batch: int, rounds: int, console: Console) -> dict[str, float]:
    """Print one model's table and return its ratios."""
    contenders = {
        "ctxenc": ours(model, batch, plain=False),
        "lax": ours(model, batch, plain=True),
        **torchs(model, batch),
        "matrix": matrix_product(),
    }
    with FlopCounterMode(display=False) as counter:
        contenders["torch eager"]()
    flops = counter.get_total_flops()
    ms = measure(contenders, rounds)
    rate = 2 * MATRIX**3 / ms.pop("matrix") * 1e3
    best_torch = min(value for name, value in ms.items() if name.startswith("torch"))
    floor = flops / rate * 1e3
    table = Table("", "ms a step", "images/s", "ctxenc is", title=f"model={model}, batch {batch}")
    for name, value in sorted(ms.items(), key=lambda item: item[1]):
        ratio = f"{value / ms['ctxenc']:.2f} × as fast"
        table.add_row(name, f"{value:.0f}", f"{1e3 * batch / value:.0f}", ratio)
    table.add_row(f"floor: {flops / 1e9:.1f} GFLOP at {rate / 1e9:.0f} GFLOP/s", f"{floor:.0f}")
    console.print(table)
    return {
        "ratio_vs_torch": round(best_torch / ms["ctxenc"], 3),
        "ratio_vs_lax": round(ms["lax"] / ms["ctxenc"], 3),
        "fraction_of_matrix_rate": round(floor / ms["ctxenc"], 3),
    }


def main() -> None:
    """Read the options, measure each model, print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=["cifar", "tf_original"])
    options = parser.parse_args()
    keep_memory()  # as every training process does; PyTorch's steps have it too
    # Nested autograd through a compiled network needs its buffers kept.
    functorch_config.donated_buffer = False
    console = Console(width=100)
    found = {
        model: compare(model, options.batch, options.rounds, console) for model in options.models
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
