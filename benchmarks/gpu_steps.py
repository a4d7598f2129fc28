"""Milliseconds of a training step at several sizes and precisions, beside PyTorch: for `gpu.py`."""

import contextlib
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
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
from ctxenc.ops.platforms import written_for

try:
    import torch
    import torch_gan
    from torch._functorch import config as functorch_config
except ImportError:
    torch = None

Line = dict[str, Any]
SMALLER = ("model.generator.widths=[4,8]", "model.discriminator.widths=[4,8]", "image_size=16")
# What counts most comes first, as time may run out; as many processes at once as have memory.
WAVES = (
    (("bfloat16", 64), ("bfloat16", 256), ("bfloat16", 1024), ("tf32", 1024)),
    (("tf32", 64), ("float32", 64), ("float32", 1024)),
    (("tf32", 256), ("float32", 256)),
)
READY = "ready\n"
# Ours: the key `precision`, and JAX's own for float32; "float32" there means no TF32.
PRECISIONS = {
    "tf32": ("float32", "tensorfloat32"),
    "float32": ("float32", "float32"),
    "bfloat16": ("bfloat16", None),
}
NOMINAL_TFLOPS = {"bfloat16": 989.0}  # H100 and H200, dense, by NVIDIA's data sheets


def steps(tiny: bool) -> Iterator[Line]:
    """First the rates of a large product, then a line for each size, precision and contender.

    Compiling takes half a minute for each: all sizes of a wave are built at once, in processes of
    their own, and timed one after the other when all of them are ready.
    """
    side = 256 if tiny else 8192
    rates = {name: product_rate(name, side) for name in PRECISIONS}
    yield {"device": jax.devices()[0].device_kind, "matrix": side, "tflops": rates}
    if torch is None:
        yield {"skipped": "PyTorch's steps: PyTorch is not installed"}
    models = ("cifar",) if tiny else MODELS
    for wave in ((("float32", 4), ("bfloat16", 4)),) if tiny else WAVES:
        workers = [
            Worker(model, batch, precision, tiny)
            for (precision, batch), model in itertools.product(wave, models)
        ]
        for worker in workers:
            worker.wait()
        for worker in workers:
            for line in worker.time():
                if "ms" in line:
                    rate, precision = line["gflop"] / line["ms"], line["precision"]
                    line["of_matrix_rate"] = round(rate / rates[precision], 4)
                    nominal = NOMINAL_TFLOPS.get(precision)
                    line["of_nominal"] = round(rate / nominal, 4) if nominal else ""
                yield line


class Worker:
    """A process that builds the contenders for one size, and times them when it is told to."""

    def __init__(self, model: str, batch: int, precision: str, tiny: bool):
        script = [sys.executable, __file__, model, str(batch), precision]
        self.size: Line = {"model": model, "batch": batch, "precision": precision}
        self.told: list[str] = []
        self.process = subprocess.Popen(
            script + ["--tiny"] * tiny,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "2"},
        )

    def wait(self) -> None:
        """Until it is ready, or has ended."""
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) and line != READY:
            self.told.append(line)

    def time(self) -> Iterator[Line]:
        """Its lines; one that says so if it has died."""
        told, _ = self.process.communicate("go\n" if self.process.poll() is None else None)
        for line in [*self.told, *told.splitlines()]:
            if line.startswith("{"):
                yield self.size | json.loads(line)
        if self.process.returncode:
            yield self.size | {"error": f"exit status {self.process.returncode}"}


def contenders(model: str, batch: int, precision: str, tiny: bool) -> None:
    """What a worker does: build, say so, wait, time."""
    makers: dict[str, Callable[[], Callable[[], Any]]] = {
        "ctxenc": functools.partial(ours, model, batch, precision, tiny)
    }
    if torch is not None:
        for compiled in (False, True):
            name = f"torch {'compiled' if compiled else 'eager'}, channels last"
            makers[name] = functools.partial(torchs, model, batch, precision, compiled=compiled)
    built: dict[str, tuple[Callable[[], Any], float]] = {}
    flops = operations(model, batch, precision, tiny)
    for name, make in makers.items():
        try:
            start = time.perf_counter()
            take = make()
            warm(take)
            built[name] = take, round(time.perf_counter() - start, 1)
        except Exception as error:  # out of memory, say: the others go on
            print(json.dumps({"contender": name, "error": f"{error}"[:200]}), flush=True)
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()  # for the processes beside this one
    print(READY, end="", flush=True)
    sys.stdin.readline()
    for name, (take, seconds) in built.items():
        ms = timed(take, 0.1 if tiny else 0.4)
        line = {"contender": name, "ms": round(ms, 3), "images_per_s": round(1e3 * batch / ms)}
        line |= {"gflop": round(flops / 1e9, 4), "build_seconds": seconds}
        print(json.dumps(line), flush=True)


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


def ours(model: str, batch: int, precision: str, tiny: bool) -> Callable[[], Any]:
    """A step that returns what to wait for."""
    one, state, *given = a_step(model, batch, precision, tiny)
    holder = [state]
    with matmul_precision(precision):
        program = jax.jit(one, donate_argnums=0).lower(state, *given)
        compiled = program.compile(QUICK if tiny else None)

    def take() -> Any:
        holder[0], _ = compiled(holder[0], *given)
        return holder[0]

    return take


def a_step(model: str, batch: int, precision: str, tiny: bool) -> tuple[Any, ...]:
    """The step as a function that no other trace shares, and its arguments."""
    overrides = [*MODELS[model], f"batch_size={batch}", f"precision={PRECISIONS[precision][0]}"]
    if tiny:
        overrides += [*SMALLER, "model.generator.decoder_widths=[8]"]
    config = check(compose(overrides))
    built, size = build.model(config), config.image_size
    hyper = build.hyperparameters(config, np.ones(3, np.float32), 1000)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    key, images = jax.random.key(0), jnp.asarray(pixels)
    one = functools.partial(step.train_step.__wrapped__, built)  # type: ignore[attr-defined]
    return one, step.init(built, key, size), images, hyper, key


def operations(model: str, batch: int, precision: str, tiny: bool) -> float:
    """Floating-point operations of a step with `lax`'s convolutions.

    XLA's count of the program for a CPU before it is optimized, in which the discriminator's pass
    over the fills, and nothing else, is there twice; of a program for a GPU XLA counts nothing.
    """
    with (
        written_for("cuda"),
        jax.default_device(jax.devices("cpu")[0]),
    ):
        one, *given = a_step(model, batch, precision, tiny)
        analysis: Any = jax.jit(one).lower(*given).cost_analysis()
    return float(analysis["flops"])


def torchs(model: str, batch: int, precision: str, *, compiled: bool) -> Callable[[], Any]:
    """PyTorch's step."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    functorch_config.donated_buffer = False  # nested autograd needs its buffers kept
    size = SIZES[model]
    images = torch.randn(batch, 3, size, size, device=device)
    return torch_gan.train_step(
        model, images, channels_last=True, compiled=compiled, bfloat16=precision == "bfloat16"
    )


def wait(last: Any) -> None:
    """Until the device is done."""
    if last is not None:
        jax.block_until_ready(last)
    elif torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def warm(take: Callable[[], Any]) -> None:
    """Compile; choose algorithms."""
    for _ in range(3):
        wait(take())


def timed(take: Callable[[], Any], seconds: float) -> float:
    """Median milliseconds of a call, over rounds of several that are waited for together."""
    warm(take)
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


if __name__ == "__main__":
    contenders(sys.argv[1], int(sys.argv[2]), sys.argv[3], "--tiny" in sys.argv)
