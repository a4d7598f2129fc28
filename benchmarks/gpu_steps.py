"""Milliseconds of a training step at several sizes and precisions, beside PyTorch: for `gpu.py`."""

import contextlib
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gpu_sweep import QUICK
from models import MODELS, SIZES

from ctxenc import step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose

try:
    import torch
    import torch_gan
    from torch._functorch import config as functorch_config
except ImportError:
    torch = None

Line = dict[str, Any]
SMALLER = ("model.generator.widths=[4,8]", "model.discriminator.widths=[4,8]", "image_size=16")
# What counts most comes first, as time may run out.
ORDER = (
    *(("bfloat16", batch) for batch in (64, 1024)),
    *(("tf32", batch) for batch in (64, 1024)),
    *(("bfloat16", 256), ("float32", 64), ("tf32", 256), ("float32", 1024), ("float32", 256)),
)
# Ours: the key `precision`, and JAX's own for float32; "float32" there means no TF32.
PRECISIONS = {
    "tf32": ("float32", "tensorfloat32"),
    "float32": ("float32", "float32"),
    "bfloat16": ("bfloat16", None),
}
NOMINAL_TFLOPS = {"bfloat16": 989.0}  # H100 and H200, dense, by NVIDIA's data sheets


def steps(tiny: bool) -> Iterator[Line]:
    """First the rates of a large product, then a line for each size, precision and contender."""
    side = 256 if tiny else 8192
    rates = {name: product_rate(name, side) for name in PRECISIONS}
    yield {"device": jax.devices()[0].device_kind, "matrix": side, "tflops": rates}
    if torch is None:
        yield {"skipped": "PyTorch's steps: PyTorch is not installed"}
    models = ("cifar",) if tiny else MODELS
    order = (("float32", 4), ("bfloat16", 4)) if tiny else ORDER
    for (precision, batch), model in itertools.product(order, models):
        described: Line = {"model": model, "batch": batch, "precision": precision}
        contenders: dict[str, Callable[[], tuple[Callable[[], Any], float]]] = {
            "ctxenc": functools.partial(ours, model, batch, precision, tiny)
        }
        if torch is not None:
            for compiled in (False, True):
                name = f"torch {'compiled' if compiled else 'eager'}, channels last"
                contenders[name] = functools.partial(
                    torchs, model, batch, precision, compiled=compiled
                )
        flops = 0.0
        for name, make in contenders.items():
            try:
                took = time.perf_counter()
                take, counted = make()
                flops = counted or flops
                ms = timed(take, 0.1 if tiny else 0.7)
            except Exception as error:  # out of memory, say: the others go on
                yield described | {"contender": name, "error": f"{error}"[:200]}
                continue
            rate = flops / ms / 1e9
            yield described | {
                "contender": name,
                "ms": round(ms, 3),
                "images_per_s": round(1e3 * batch / ms),
                "gflop": round(flops / 1e9, 1),
                "of_matrix_rate": round(rate / rates[precision], 3),
                "of_nominal": round(rate / NOMINAL_TFLOPS.get(precision, np.nan), 3)
                if precision in NOMINAL_TFLOPS
                else "",
                "seconds": round(time.perf_counter() - took, 1),
            }


def matmul_precision(name: str) -> contextlib.AbstractContextManager[None]:
    """JAX's own setting for a precision, within which programs are traced."""
    chosen = PRECISIONS[name][1]
    return jax.default_matmul_precision(chosen) if chosen else contextlib.nullcontext()


def product_rate(precision: str, side: int) -> float:
    """TFLOP/s of a product of two square matrices."""
    a = jnp.ones((side, side), PRECISIONS[precision][0])
    with matmul_precision(precision):
        multiply = jax.jit(jnp.dot).lower(a, a).compile()
    return round(2 * side**3 / timed(lambda: multiply(a, a), 0.3) / 1e9, 3)


def ours(model: str, batch: int, precision: str, tiny: bool) -> tuple[Callable[[], Any], float]:
    """A step that returns what to wait for, and its floating-point operations.

    These are XLA's count of the program before it is optimized, in which the discriminator's pass
    over the fills, and nothing else, is there twice.
    """
    overrides = [*MODELS[model], f"batch_size={batch}", f"precision={PRECISIONS[precision][0]}"]
    if tiny:
        overrides += [*SMALLER, "model.generator.decoder_widths=[8]"]
    config = check(compose(overrides))
    built, size = build.model(config), config.image_size
    hyper = build.hyperparameters(config, np.ones(3, np.float32), 1000)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    key, images = jax.random.key(0), jnp.asarray(pixels)
    holder: list[Any] = [step.init(built, key, size)]
    # A function of its own: a trace of another precision is not this one's.
    one = functools.partial(step.train_step.__wrapped__, built)  # type: ignore[attr-defined]
    with matmul_precision(precision):
        lowered = jax.jit(one, donate_argnums=0).lower(holder[0], images, hyper, key)
        program = lowered.compile(QUICK if tiny else None)
    analysis: Any = lowered.cost_analysis()

    def take() -> Any:
        holder[0], _ = program(holder[0], images, hyper, key)
        return holder[0]

    return take, float(analysis["flops"])


def torchs(
    model: str, batch: int, precision: str, *, compiled: bool
) -> tuple[Callable[[], Any], float]:
    """PyTorch's step; its operations are ours."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    functorch_config.donated_buffer = False  # nested autograd needs its buffers kept
    size = SIZES[model]
    images = torch.randn(batch, 3, size, size, device=device)
    take = torch_gan.train_step(
        model, images, channels_last=True, compiled=compiled, bfloat16=precision == "bfloat16"
    )
    return take, 0.0


def timed(take: Callable[[], Any], seconds: float) -> float:
    """Median milliseconds of a call, over rounds of several that are waited for together."""

    def wait(last: Any) -> None:
        if last is not None:
            jax.block_until_ready(last)
        elif torch is not None and torch.cuda.is_available():
            torch.cuda.synchronize()

    for _ in range(3):  # compiles; chooses algorithms
        wait(take())
    start = time.perf_counter()
    wait(take())
    count = max(1, int(seconds / 5 / (time.perf_counter() - start)))
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            last = take()
        wait(last)
        rounds.append(1e3 * (time.perf_counter() - start) / count)
    return statistics.median(rounds)
