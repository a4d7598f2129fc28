"""Jobs of one sweep as one vmapped step, beside the same jobs' steps one after the other.

    python benchmarks/gpu_sweep.py [--jobs 1 4 16 64] [--batch 64] [OVERRIDE …]

The jobs differ in their numbers alone (λ_adv), as in a sweep; the images are the same. Both ways
take turns. Convolutions are cuDNN's (`lax`'s on other devices), or ours as matrix products, which
`vmap` makes batched ones. A line for each: median milliseconds for a step of all jobs, and how many
times as fast at once is.
"""

import argparse
import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from models import AS_TORCHS

from ctxenc import step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.ops.platforms import written_for
from ctxenc.runtime import keep_memory

Line = dict[str, Any]
FULL: Line = {"batch": 64, "jobs": (1, 4, 16, 64), "overrides": ("model=cifar_half",)}
SMALL: tuple[str, ...] = (
    "model=cifar",
    "model.generator.widths=[4,8]",
    "model.generator.decoder_widths=[8]",
)
SMALL += ("model.discriminator.widths=[4,8]", "image_size=16", "mask_height=8", "mask_width=8")
TINY: Line = {"batch": 4, "jobs": (2,), "overrides": SMALL}
QUICK: dict[str, Any] = {
    "xla_backend_optimization_level": 0
}  # of --tiny, whose time would be LLVM's


def jobs_at_once(
    batch: int, jobs: Sequence[int], overrides: Sequence[str], tiny: bool = False
) -> Iterator[Line]:
    """A line for each number of jobs and way to convolve."""
    config = check(compose([*AS_TORCHS, *overrides, f"batch_size={batch}"]))
    model, size = build.model(config), config.image_size
    numbers = build.hyperparameters(config, np.ones(3, np.float32), 1000)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    images, key = jnp.asarray(pixels), jax.random.key(0)
    ways = ("cudnn", "cuda"), ("products", "cpu")
    states = [step.init(model, key, size) for _ in range(max(jobs))]
    weights = [numbers | {"lambda_adv": jnp.float32(1e-3 * k)} for k in range(max(jobs))]
    options = QUICK if tiny else None
    given, pool = (images, key), ThreadPoolExecutor(8)
    compiled = {}
    for name, platform in ways:
        one: Any = functools.partial(step.train_step.__wrapped__, model)  # type: ignore[attr-defined]
        many = jax.vmap(one, in_axes=(0, None, 0, None))
        with written_for(platform):
            traced = {0: jax.jit(one, donate_argnums=0).lower(states[0], images, weights[0], key)}
            for count in jobs:
                both = stacked(states[:count]), stacked(weights[:count])
                batched = jax.jit(many, donate_argnums=0)
                traced[count] = batched.lower(both[0], images, both[1], key)
        for count, program in traced.items():  # LLVM and ptxas take a thread each
            compiled[name, count] = pool.submit(program.compile, options)
    for future in compiled.values():
        future.result()
    for (name, _), count in itertools.product(ways, jobs):
        single, batched_step = compiled[name, 0].result(), compiled[name, count].result()
        of = states[:count], weights[:count], *given
        apart, at_once = in_turns(one_by_one(single, *of), together(batched_step, *of))
        yield {
            "convolutions": name,
            "jobs": count,
            "apart_ms": round(apart, 3),
            "at_once_ms": round(at_once, 3),
            "ratio": round(apart / at_once, 3),
        }


def stacked(trees: Sequence[Any]) -> Any:
    """Several trees as one, with an axis more."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def one_by_one(
    taken: Any, states: Sequence[Any], weights: Sequence[Any], images: Any, key: Any
) -> Callable[[], Any]:
    """A step of each job, one after the other."""
    held = [jax.tree.map(jnp.copy, state) for state in states]

    def take() -> Any:
        for k, numbers in enumerate(weights):
            held[k], _ = taken(held[k], images, numbers, key)
        return held

    return take


def together(
    taken: Any, states: Sequence[Any], weights: Sequence[Any], images: Any, key: Any
) -> Callable[[], Any]:
    """A step of all jobs in one program."""
    numbers, held = stacked(weights), [stacked(states)]

    def take() -> Any:
        held[0], _ = taken(held[0], images, numbers, key)
        return held[0]

    return take


def in_turns(*contenders: Callable[[], Any], seconds: float = 1.5) -> list[float]:
    """Median milliseconds of each; 5 rounds or more, until so many seconds have gone."""
    for contender in contenders * 2:  # compiles; layouts may change after the first
        jax.block_until_ready(contender())
    times: list[list[float]] = [[] for _ in contenders]
    began = time.perf_counter()
    while len(times[0]) < 5 or time.perf_counter() - began < seconds:
        for taken, contender in zip(times, contenders, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(contender())
            taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken) for taken in times]


def main() -> None:
    """Read the options, print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, nargs="+", default=FULL["jobs"])
    parser.add_argument("--batch", type=int, default=FULL["batch"])
    parser.add_argument("overrides", nargs="*", default=FULL["overrides"])
    given = parser.parse_intermixed_args()
    keep_memory()
    for line in jobs_at_once(given.batch, given.jobs, given.overrides):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
