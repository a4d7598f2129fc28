"""What a job of a sweep costs beside its training: programs compiled, seconds, memory.

    python benchmarks/sweep.py                         # 12 values of lambda_adv, tiny networks
    python benchmarks/sweep.py --jobs 50
    python benchmarks/sweep.py model=cifar max_steps=5 # overrides of your own

Prints a line a job: programs compiled; seconds from the end of the job before to its first step
done, and those that the processor worked, which a busy machine changes less; resident memory; live
arrays; threads; open files. The last two and memory need Linux. The last line is one JSON
object, of the jobs after the first: the median seconds to a first step, wall and processor, and how
many programs were compiled.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import jax

from ctxenc import step, train
from ctxenc.sweeps import run

TINY = (
    *("model.generator.widths=[4,8]", "model.generator.decoder_widths=[8]"),
    *("model.discriminator.widths=[4,8]", "image_size=16", "mask_height=8", "mask_width=8"),
    *("batch_size=32", "num_img=3", "max_steps=20"),
)


def main() -> None:
    """Run a sweep over lambda_adv and print a line a job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("overrides", nargs="*", default=TINY)
    given = parser.parse_args()
    values = ",".join(f"{1e-4 * (1 + k):.4g}" for k in range(given.jobs))
    print("job  compiled  to first step    (CPU)     RSS  arrays  (on devices)  threads  files")
    watched = Watched()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            _, whole = run.run([*given.overrides, f"lambda_adv={values}"], train.hydra_main)
    if not whole:
        raise SystemExit(told.getvalue())
    watched.close()
    compiled, wall, cpu = zip(*watched.jobs[1:], strict=True)
    found = {"to_first_step_s": wall, "to_first_step_cpu_s": cpu}
    print(
        json.dumps(
            {k: round(statistics.median(v), 3) for k, v in found.items()}
            | {"compiled": sum(compiled)}
        )
    )


class Watched:
    """Counts and times jobs from outside of them."""

    def __init__(self) -> None:
        self.jobs: list[tuple[int, float, float]] = []  # programs, seconds, processor seconds
        self._compiled = 0
        self._ended, self._first = clocks(), (0.0, 0.0)
        self._job, self._step = train.job, step.train_step
        train.job, step.train_step = self.job, self.step  # type: ignore[assignment]
        self.step.__func__.eval_shape = self._step.eval_shape  # type: ignore[attr-defined]
        jax.monitoring.register_event_duration_secs_listener(self._event)

    def close(self) -> None:
        """Put back what was replaced."""
        train.job, step.train_step = self._job, self._step
        jax.monitoring.unregister_event_duration_listener(self._event)

    def _event(self, event: str, duration_secs: float, **_: str | int) -> None:
        self._compiled += event == "/jax/core/compile/backend_compile_duration"

    def step(self, *given: Any) -> Any:
        """One training step; the job's first is waited for."""
        state = self._step(*given)
        if not any(self._first):
            jax.block_until_ready(state)
            wall, cpu = clocks()
            self._first = wall - self._ended[0], cpu - self._ended[1]
        return state

    def job(self, *given: Any) -> Any:
        """One job, and its line."""
        self._compiled, self._first = 0, (0.0, 0.0)
        done = self._job(*given)
        gc.collect()
        arrays = jax.live_arrays()
        wall, cpu = self._first
        print(
            f"{len(self.jobs):3}  {self._compiled:8}  {wall:11.2f} s {cpu:6.2f} s  "
            f"{resident() / 2**20:4.0f} MB  {len(arrays):6}  "
            f"{sum(a.nbytes for a in arrays) / 2**20:9.2f} MB  {threading.active_count():7}  "
            f"{len(list(Path('/proc/self/fd').iterdir())):5}",
            flush=True,
        )
        self.jobs.append((self._compiled, wall, cpu))
        self._ended = clocks()
        return done


def clocks() -> tuple[float, float]:
    """Seconds that have passed, and seconds that this process has computed."""
    return time.monotonic(), time.process_time()


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
