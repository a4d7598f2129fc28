"""What a whole run costs beyond its steps: logging, sampling, testing, checkpointing, data.

    python benchmarks/end_to_end.py [--steps 300 | --whole] [--every 10] [OVERRIDE …]

A run of `--steps` steps with a line of metrics every 10, a sample grid every 50, a test and a
checkpoint at the end; with `--whole` of as many steps, grids and tests as the configuration says.
Every so many steps (`--every`: on a GPU, which a stop empties, take 100) it is held up, its clock
stopped, and as many bare steps are taken instead: the same compiled step on one batch and a state
of its own, nothing else. So both meet the same machine, whose speed drifts. A run's time is from
the end of its first step, which compiles, to its end, pictures and checkpoint on the disk. The last
line printed is one JSON object; `ratio` is the run's rate over the bare rate, both of them means;
`without_test` leaves the time out that the test of the model takes.
"""

import argparse
import contextlib
import json
import resource
import tempfile
import time
from unittest import mock

import jax

from ctxenc import launch, step
from ctxenc.evaluation import held_out


class Interleaved:
    """In place of `step.train_step`: the run's steps, held up now and then for bare ones."""

    def __init__(self, every: int) -> None:
        self._every = every  # steps of either kind, in turns
        self._step = step.train_step
        self.eval_shape = step.train_step.eval_shape
        self.began = self.bare_seconds = self.held_up = 0.0
        self.calls = self.bare_steps = 0

    def __call__(self, model, state, images, *rest):  # type: ignore[no-untyped-def]
        """One step of the run."""
        if self.calls == 1 or self.calls % self._every == 0:
            jax.block_until_ready((state, images))
            self.began = self.began or (time.perf_counter() if self.calls else 0.0)
            self._hold_up(model, state, images, *rest)
        self.calls += 1
        return self._step(model, state, images, *rest)

    def _hold_up(self, *arguments) -> None:  # type: ignore[no-untyped-def]
        model, state, *rest = arguments
        arrived = time.perf_counter()
        own = jax.tree.map(lambda leaf: leaf.copy(), state)
        own, _ = self._step(model, own, *rest)  # the first one compiles
        jax.block_until_ready(own)
        if self.calls:
            start = time.perf_counter()
            for _ in range(self._every):
                own, _ = self._step(model, own, *rest)
            jax.block_until_ready(own)
            self.bare_seconds += time.perf_counter() - start
            self.bare_steps += self._every
        self.held_up += time.perf_counter() - arrived if self.calls else 0.0


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--whole", action="store_true", help="as long as the configuration says")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("overrides", nargs="*", help="as for ctxenc.train")
    options = parser.parse_args()
    rhythm = [f"max_steps={options.steps}", f"eval_every={options.steps}"]
    rhythm += ["n_update=50", "log_every=10"]
    steps, test_seconds = Interleaved(options.every), 0.0
    generator = held_out.HeldOutSplit.generator

    def timed(*arguments):  # type: ignore[no-untyped-def]
        nonlocal test_seconds
        start = time.perf_counter()
        found = generator(*arguments)
        test_seconds += time.perf_counter() - start
        return found

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.object(step, "train_step", steps),
        mock.patch.object(held_out.HeldOutSplit, "generator", timed),
    ):
        launch.run(*([] if options.whole else rhythm), *options.overrides)
        seconds = time.perf_counter() - steps.began - steps.held_up
    bare = steps.bare_seconds / steps.bare_steps
    taken = steps.calls - 1
    found = {
        "steps": taken,
        "bare_ms": round(1e3 * bare, 3),
        "run_ms": round(1e3 * seconds / taken, 3),
        "ratio": round(bare * taken / seconds, 3),
        "without_test": round(bare * taken / (seconds - test_seconds), 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
