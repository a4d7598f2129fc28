"""Times batch normalisation, forward and with all gradients: ours and Flax's, in turns.

    python benchmarks/batch_norm.py [--batch 64] [--rounds 30]

Prints medians for the maps of `model=cifar_half`'s encoder.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ctxenc import runtime
from ctxenc.models.layers import BatchNorm

MAPS = [(16, 16, 64), (8, 8, 128), (4, 4, 256)]


def program(norm: nn.Module, shape: tuple[int, ...], **train: Any) -> Callable[[], Any]:
    """The compiled output, moving statistics and gradients, of maps of noise."""
    x = jax.random.normal(jax.random.key(0), shape)
    slope = jax.random.normal(jax.random.key(1), shape)
    variables = norm.init(jax.random.key(2), x, **train)

    @jax.jit
    def run(params: Any, x: jax.Array, slope: jax.Array) -> Any:
        def forward(params: Any, x: jax.Array) -> Any:
            return norm.apply({**variables, "params": params}, x, **train, mutable="batch_stats")

        (y, stats), back = jax.vjp(forward, params, x)
        return y, stats, back((slope, jax.tree.map(jnp.zeros_like, stats)))

    return lambda: run(variables["params"], x, slope)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    runtime.keep_memory()
    print(f"{'ms':16}{'ours':>8}{'Flax':>8}{'ratio':>8}")
    for maps in MAPS:
        shape = (options.batch, *maps)
        flax = nn.BatchNorm(momentum=0.9, epsilon=1e-3)
        programs = [
            program(BatchNorm(), shape, train=True),
            program(flax, shape, use_running_average=False),
        ]
        times: list[list[float]] = [[], []]
        for _ in range(options.rounds + 1):
            for took, run in zip(times, programs, strict=True):
                start = time.perf_counter()
                jax.block_until_ready(run())
                took.append(1e3 * (time.perf_counter() - start))
        ours, theirs = (statistics.median(took[1:]) for took in times)  # the first compiles
        print(f"{' × '.join(map(str, maps)):16}{ours:8.2f}{theirs:8.2f}{theirs / ours:8.2f}")


if __name__ == "__main__":
    main()
