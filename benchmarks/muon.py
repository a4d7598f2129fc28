"""Times Muon's iteration on a model's kernels: Optax's, and ours on the shorter side's square.

    python benchmarks/muon.py [OVERRIDES…]

They take turns. The last column is the largest difference of their results.
"""

import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from optax.contrib import _muon
from rich.console import Console
from rich.table import Table

from ctxenc import optim, step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose

STEPS = 5
COEFFICIENTS = jnp.array([3.4445, -4.775, 2.0315])


def optaxs(kernels: list[jax.Array]) -> list[jax.Array]:
    """Optax's iteration."""
    return [_muon.orthogonalize_via_newton_schulz(k, COEFFICIENTS, STEPS) for k in kernels]


def ours(kernels: list[jax.Array]) -> list[jax.Array]:
    """The same polynomials, taken of the square."""
    return [optim.orthogonalized(k, STEPS) for k in kernels]


def seconds(function: Callable[..., object], kernels: list[jax.Array]) -> float:
    """Of one call."""
    start = time.perf_counter()
    jax.block_until_ready(function(kernels))
    return time.perf_counter() - start


def main() -> None:
    """Measure both on the generator's convolutions, and print the table."""
    overrides = sys.argv[1:] or ["+experiment=cifar10_center", "dataset.data_dir=none"]
    config = check(compose(overrides))
    state = step.init(build.model(config), jax.random.key(0), config.image_size)
    leaves = [leaf for leaf in jax.tree.leaves(state.generator.params) if leaf.ndim in (2, 4)]
    kernels = [leaf.reshape(-1, leaf.shape[-1]) for leaf in leaves]
    functions = {"Optax's": jax.jit(optaxs), "ours": jax.jit(ours)}
    results = {name: function(kernels) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(15):
        for name, function in functions.items():
            times[name].append(seconds(function, kernels))
    pairs = zip(*results.values(), strict=True)
    difference = max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
    table = Table(
        "", "ms a step", "difference", title=f"{len(kernels)} kernels, {STEPS} iterations"
    )
    for name, values in times.items():
        table.add_row(name, f"{1e3 * statistics.median(values):.0f}", f"{difference:.0e}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
