"""Times convolutions of our models: ours, `lax`'s, and the bare matrix product of their sizes.

    python benchmarks/convolution.py [--batch 64] [--rounds 15]

Prints milliseconds (medians, the three interleaved): forward, and forward with both gradients.
The bare product is what the arithmetic of the layer takes with nothing moved: where ours is
quicker than that, it is because it multiplies less (`ctxenc/ops/winograd.py`).
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ctxenc.ops import LAYOUT, conv_general_dilated, conv_transpose

Function = Callable[..., Array]


@dataclass(frozen=True)
class Layer:
    """One layer: its input's height and width, its channels in and out, its window and stride."""

    name: str
    size: int
    channels: int
    features: int
    up: bool = False
    window: int = 4
    stride: int = 2

    def convolutions(self) -> dict[str, Function]:
        """Ours and `lax`'s, functions of (input, kernel)."""
        options: dict[str, Any] = {"padding": "SAME", "dimension_numbers": LAYOUT}
        strides = (self.stride, self.stride)
        if self.up:
            return {
                "ours": functools.partial(conv_transpose, strides=strides, padding="SAME"),
                "lax": functools.partial(lax.conv_transpose, strides=strides, **options),
            }
        return {
            "ours": functools.partial(conv_general_dilated, window_strides=strides, **options),
            "lax": functools.partial(lax.conv_general_dilated, window_strides=strides, **options),
        }

    def operands(self, batch: int) -> tuple[Array, Array]:
        """An input and a kernel."""
        x = jnp.ones((batch, self.size, self.size, self.channels))
        return x, jnp.ones((self.window, self.window, self.channels, self.features))

    def matrices(self, batch: int) -> tuple[Array, Array]:
        """Two matrices whose product has this layer's arithmetic."""
        taps = self.window**2
        if self.up:
            rows, inner, columns = batch * self.size**2, self.channels, taps * self.features
        else:
            rows = batch * (self.size // self.stride) ** 2
            inner, columns = taps * self.channels, self.features
        return jnp.ones((rows, inner)), jnp.ones((inner, columns))


LAYERS = [
    Layer("generator conv 1", 32, 3, 128),
    Layer("generator conv 2", 16, 128, 256),
    Layer("generator conv 3", 8, 256, 512),
    Layer("generator up-conv 1", 4, 512, 256, up=True),
    Layer("generator up-conv 2", 8, 256, 3, up=True),
    Layer("discriminator conv 1", 16, 3, 64),
    Layer("discriminator conv 2", 8, 64, 128),
    Layer("discriminator conv 3", 4, 128, 256),
    Layer("residual block, large", 16, 64, 64, window=3, stride=1),
    Layer("residual block, middle", 8, 128, 128, window=3, stride=1),
    Layer("residual block, small", 4, 256, 256, window=3, stride=1),
    Layer("AlexNet conv 3", 13, 256, 384, window=3, stride=1),
]


def with_gradients(function: Function) -> Function:
    """The function's output and the gradients of both operands, in one program."""

    def run(x: Array, w: Array, cotangent: Array) -> tuple[Array, ...]:
        y, vjp = jax.vjp(function, x, w)
        return y, *vjp(cotangent)

    return jax.jit(run)


def milliseconds(programs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each program, run in turns so that a busy moment strikes all of them."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds + 1):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program())
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(ran[1:]) for name, ran in times.items()}  # the first compiles


def measure(layer: Layer, batch: int, rounds: int) -> dict[str, float]:
    """Times one layer forward ("ours", …) and with both gradients ("ours gradients", …)."""
    programs: dict[str, Callable[[], object]] = {}
    candidates = {name: (f, layer.operands(batch)) for name, f in layer.convolutions().items()}
    candidates["product"] = (jnp.matmul, layer.matrices(batch))
    for name, (function, (x, w)) in candidates.items():
        forward, both = jax.jit(function), with_gradients(function)
        cotangent = jnp.ones(jax.eval_shape(function, x, w).shape)
        programs[name] = lambda f=forward, x=x, w=w: f(x, w)  # type: ignore[misc]
        programs[f"{name} gradients"] = lambda f=both, x=x, w=w, c=cotangent: f(x, w, c)  # type: ignore[misc]
    return milliseconds(programs, rounds)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    names = ["ours", "lax", "product"]
    columns = [*names, *(f"{name} gradients" for name in names)]
    print(f"{'':22}{'forward':^30}{'forward and both gradients':^30}")
    print(f"{'ms':22}" + "".join(f"{name:>10}" for name in names * 2))
    for layer in LAYERS:
        took = measure(layer, options.batch, options.rounds)
        print(f"{layer.name:22}" + "".join(f"{took[column]:10.2f}" for column in columns))


if __name__ == "__main__":
    main()
