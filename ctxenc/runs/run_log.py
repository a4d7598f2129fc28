"""What a run writes while it trains: metrics lines, TensorBoard, curves, summary, warnings.

Figures are summed on the device and read one window late, so that reading them never stalls the
steps that are already under way. TensorBoard and the curves are written in the background, and
their libraries imported there: together they take seconds.
"""

import logging
import math
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from ctxenc import step
from ctxenc.data.loaders import Loader
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS, measured_in_training
from ctxenc.report.progress import Bar
from ctxenc.runs.calendar import Calendar
from ctxenc.runs.checkpoints import BEST_BY
from ctxenc.runs.folder import Run
from ctxenc.runs.tensorboard import TensorBoard
from ctxenc.runtime.background import Background
from ctxenc.state import Logged, TrainState

log = logging.getLogger(__name__)

ADVICE = "the last checkpoint is from before; lower learning rates, in a new run, may help"
STUCK_STEPS = 100
STUCK_WITHIN = 0.003  # of what a discriminator loses that cannot tell real from filled


class DivergedError(UserError):
    """A loss is not finite: going on would only spoil the networks."""


class RunLog:
    """The writers of one run.

    Args:
        run: its folder.
        bar: what the terminal shows.
        background: where pictures and TensorBoard are written.
        loader: how long the devices have waited for data.
        calendar: when lines are due.
        start: the step that the run begins or continues from.
        batch_size: images a step.
        sums: the figures summed since the last line, and over how many `steps`; None for none.
        undecided: what a discriminator loses that cannot tell real from filled; None: there is
            none.
        baselines: the test figures that a model has to beat.
    """

    def __init__(
        self,
        run: Run,
        bar: Bar,
        background: Background,
        loader: Loader,
        calendar: Calendar,
        *,
        start: int,
        batch_size: int,
        sums: Logged | None,
        undecided: float | None,
        baselines: dict[str, Any],
    ):
        self._run, self._bar, self._background, self._loader = run, bar, background, loader
        self._calendar, self._batch_size = calendar, batch_size
        self.sums = sums
        self._undecided, self._baselines = undecided, baselines
        self._tests = run.metrics("test")
        self._tensorboard = TensorBoard(run, start)
        self._pending: tuple[int, Logged, Future[tuple[float, float]]] | None = None
        self._timer = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-clock")
        self._start, self._stuck_since, self._stuck_told = start, start, False
        self.restart_clock(start)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is pending, unless an error ends the run, and close the file."""
        try:
            if kind is None:
                self.flush()
        finally:
            self._timer.shutdown(wait=False, cancel_futures=True)
            self._background.submit(self._tensorboard.close)

    def restart_clock(self, step: int) -> None:
        """Measure the rate from here: what came before was not training."""
        self._clock, self._clock_waited, self._clock_step = *self._now(), step

    def step(self, at: int, logged: Logged) -> None:
        """Take what a step reports; a line is written when it is due, one window late."""
        if self.sums is not None and self.sums.keys() == logged.keys():
            self.sums = step.add(self.sums, logged)
        else:  # a new window; or resumed from a version that logged other figures
            self.sums = logged
        if at == self._start + 1:
            jax.block_until_ready(self.sums)  # compiling is not training speed
            self.restart_clock(at)
        if self._calendar.due(at, self._calendar.log):
            self.flush()
            self._pending = at, self.sums, self._timer.submit(self._end, self.sums)
            if at % self._calendar.log == 0:  # else a longer run would have gone on summing
                self.sums = None

    def flush(self) -> None:
        """Write the pending line.

        Raises:
            DivergedError: one of its figures is not finite; nothing of it is written.
        """
        if self._pending is None:
            return
        at, sums, end = self._pending
        self._pending = None
        means = _means(sums)
        _refuse_not_finite(at, means)
        seconds, waited = end.result()
        steps, seconds_since = at - self._clock_step, seconds - self._clock
        timed = steps > 0  # else it was only compiled
        speed = {
            "images_per_second": round(steps * self._batch_size / seconds_since, 1),
            "waited_for_data": round((waited - self._clock_waited) / seconds_since, 4),
        }
        self._clock, self._clock_waited, self._clock_step = seconds, waited, at
        line = self._line("train", at, {**means, **(speed if timed else {})})
        self._warn_if_stuck(line)
        self._run.append_metrics(line)
        self._bar.show(line)

    def check_finite(self, at: int, state: TrainState) -> None:
        """Write what is pending, and refuse to go on with a state that is not finite.

        Raises:
            DivergedError: naming the figure, or the parameters where the figures were finite.
        """
        self.flush()
        if self.sums is not None:
            _refuse_not_finite(at, _means(self.sums))
        if not bool(step.finite(state)):
            raise DivergedError(f"step {at}: parameters are not finite; {ADVICE}")

    def test(self, at: int, figures: dict[str, float]) -> None:
        """Write the test figures of a step: a line, ``summary.json``, and the curves."""
        line = self._line("test", at, figures)
        self._run.append_metrics(line)
        self._tests.append(line)
        context_mean = self._baselines["context_mean"][BEST_BY]
        shown = [
            f"{METRICS[name].heading} {METRICS[name].shown(figures[name])}"
            + f" (context mean {METRICS[name].shown(context_mean)})" * (name == BEST_BY)
            for name in measured_in_training()
        ]
        log.info("step %d: test %s", at, ", ".join(shown))
        self.restart_clock(at)

    def summarise(self) -> None:
        """Rewrite ``summary.json`` and, in the background, ``curves.png``."""
        figures = [_figures(line) for line in self._tests if BEST_BY in line]
        if not figures:
            return
        best = max(figures, key=lambda line: line[BEST_BY])
        self._run.write_summary(
            {
                "step": figures[-1]["step"],
                "last": figures[-1],
                "best": best,
                "baselines": self._baselines,
            }
        )
        context_mean = self._baselines["context_mean"][BEST_BY]
        self._background.submit(_draw, self._run, context_mean, self._undecided)

    def _line(self, split: str, at: int, figures: Mapping[str, float]) -> dict[str, Any]:
        epoch = round(at / self._calendar.steps_per_epoch, 4)
        self._background.submit(self._tensorboard.show, split, at, figures)
        return {"split": split, "step": at, "epoch": epoch, **figures}

    def _warn_if_stuck(self, line: dict[str, Any]) -> None:
        if self._undecided is None:
            return
        both = line["discriminator_loss_real"] + line["discriminator_loss_fake"]
        if abs(both / 2 - self._undecided) > STUCK_WITHIN:
            self._stuck_since, self._stuck_told = line["step"], False
        elif line["step"] - self._stuck_since >= STUCK_STEPS and not self._stuck_told:
            self._stuck_told = True
            log.warning(
                "step %d: the discriminator's loss has stayed at %.3f for %d steps: it cannot tell "
                "real holes from filled ones; a higher learning_rate_d may help",
                *(line["step"], self._undecided, line["step"] - self._stuck_since),
            )

    def _now(self) -> tuple[float, float]:
        """The time, and how long the devices have waited for data by now; both in seconds."""
        return time.monotonic(), self._loader.waited

    def _end(self, sums: Logged) -> tuple[float, float]:
        """`_now` when the last step of a window is done: it may be read much later, or at once."""
        jax.block_until_ready(sums)
        return self._now()


def _means(sums: Logged) -> dict[str, float]:
    numbers = {name: float(value) for name, value in jax.device_get(sums).items()}
    steps = numbers.pop("steps")
    return {name: total / steps for name, total in numbers.items()}


def _refuse_not_finite(at: int, figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise DivergedError(f"step {at}: {name} is {value}; {ADVICE}")


def _figures(line: dict[str, Any]) -> dict[str, Any]:
    """The step and the metrics of a line, without those of the raw weights."""
    return {k: v for k, v in line.items() if k == "step" or k in METRICS}


def _draw(run: Run, context_mean_db: float, undecided: float | None) -> None:
    from ctxenc.report import curves  # matplotlib: half a second, in the background

    curves.save(run.curves, run.metrics("train"), run.metrics("test"), context_mean_db, undecided)
