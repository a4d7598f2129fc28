"""Prints the median seconds of a training step on one batch, nothing else, for `scaling.py`.

python benchmarks/bare_step.py [OVERRIDE …]
"""

import statistics
import sys
import time

import jax
import numpy as np

from ctxenc import launch, step
from ctxenc.config.compose import compose
from ctxenc.parallel import devices

STEPS = 12


def main() -> None:
    """Compile, measure, print."""
    experiment = launch.prepare(compose(sys.argv[1:]))
    everywhere, divided = devices.shardings()
    hyper, key = jax.device_put((experiment.hyper, experiment.key), everywhere)
    state = step.init(experiment.model, key, experiment.config.image_size)
    images = np.stack([experiment.dataset.train[i] for i in experiment.sampler.indices(0)])
    images = jax.device_put(images, divided)
    times = []
    for _ in range(STEPS + 2):
        start = time.perf_counter()
        state, _ = step.train_step(experiment.model, state, images, hyper, key)
        jax.block_until_ready(state)
        times.append(time.perf_counter() - start)
    print(statistics.median(times[2:]))


if __name__ == "__main__":
    main()
