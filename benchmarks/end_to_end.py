"""What a whole run costs beyond its steps: logging, sampling, testing, checkpointing, data.

    python benchmarks/end_to_end.py [--steps 300] [OVERRIDE …]

Times bare steps (the same compiled step on one batch, nothing else), then a run of `--steps` steps
with a line of metrics every 10, a sample grid every 50, a test and a checkpoint at the end, then
bare steps again, all in one process. A run's time is from the end of its first step, which
compiles, to its end. The last line printed is one JSON object; `ratio` is the run's rate over the
bare rate.
"""

import argparse
import contextlib
import json
import resource
import statistics
import tempfile
import time
from unittest import mock

import jax
import numpy as np

from ctxenc import devices, launch, step
from ctxenc.compose import compose
from ctxenc.recording import Recorder


def bare_step(plan: launch.Plan, steps: int) -> float:
    """Median seconds of a step on one batch that is already there."""
    mesh = devices.mesh()
    state, hyper, key = jax.device_put(
        (step.init(plan.gan, plan.key, plan.config.image_size), plan.hyper, plan.key),
        devices.replicated(mesh),
    )
    images = np.stack([plan.dataset.train[i] for i in plan.order.indices(0)])
    images = jax.device_put(images, devices.split(mesh))
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        state = step.train_step(plan.gan, state, images, hyper, key)
        jax.block_until_ready(state)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def whole_run(overrides: list[str]) -> float:
    """Seconds from the end of a run's first step to the run's end."""
    began: list[float] = []
    restart = Recorder.restart_clock

    def note(recorder: Recorder, at: int) -> None:
        if not began and at == 1:
            began.append(time.perf_counter())
        restart(recorder, at)

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.object(Recorder, "restart_clock", note),
    ):
        launch.run(*overrides)
        return time.perf_counter() - began[0]


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("overrides", nargs="*", help="as for ctxenc.train")
    options = parser.parse_args()
    rhythm = [f"max_steps={options.steps}", f"eval_every={options.steps}", "n_update=50"]
    overrides = [*rhythm, "log_every=10", *options.overrides]
    plan = launch.plan(compose(overrides))
    before = bare_step(plan, options.steps // 6)
    per_step = whole_run(overrides) / (options.steps - 1)
    after = bare_step(plan, options.steps // 6)
    bare = (before + after) / 2
    found = {
        "bare_ms": round(1e3 * bare, 1),
        "run_ms": round(1e3 * per_step, 1),
        "ratio": round(bare / per_step, 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
