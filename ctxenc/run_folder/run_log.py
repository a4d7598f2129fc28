"""What a run writes while it trains, and when: metrics, trackers, curves, summary, warnings.

Figures are summed on the device and read one window late, so that reading them does not stall the
steps that are already under way, except before a sample grid or a validation. Trackers and the
curves are served in the background, and their libraries imported there: together they take
seconds.
"""

import logging
import math
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import jax

from ctxenc import step
from ctxenc.baselines import to_beat
from ctxenc.config.schema import Config
from ctxenc.data.loaders import Loader
from ctxenc.errors import UserError
from ctxenc.metrics.registry import MAIN, METRICS
from ctxenc.report.progress import Bar
from ctxenc.run_folder.files import is_number
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.session import Background
from ctxenc.run_folder.trackers import Trackers
from ctxenc.state import Logged, TrainState

log = logging.getLogger(__name__)

ADVICE = "the last checkpoint is from before that; try lower learning rates in a new run"
SHORTEST = 100  # steps between validations: several epochs where they are shorter
STUCK_STEPS = 100
DRAWN_EVERY = 10  # seconds at least between two pictures of the curves; the last one is drawn
STUCK_WITHIN = 0.003  # of the loss of a discriminator that cannot tell real from filled


@dataclass(frozen=True)
class Intervals:
    """Intervals in steps; what happens at an interval also happens at the last step."""

    steps_per_epoch: int
    total_steps: int
    log_every: int
    sample_every: int
    validate_every: int

    @classmethod
    def of(cls, config: Config, steps_per_epoch: int) -> "Intervals":
        """Those that a configuration sets."""
        epochs_between = -(-SHORTEST // steps_per_epoch)
        return cls(
            steps_per_epoch=steps_per_epoch,
            total_steps=config.max_steps or config.n_epoch * steps_per_epoch,
            log_every=config.log_every,
            sample_every=config.n_update,
            validate_every=config.eval_every or steps_per_epoch * epochs_between,
        )

    def due(self, step: int, every: int) -> bool:
        """Whether something that happens every so many steps happens now."""
        return step % every == 0 or step == self.total_steps

    def planned(self, line: dict[str, Any]) -> bool:
        """Whether a line of metrics is one that a longer run would have too."""
        every = self.log_every if line["split"] == "train" else self.validate_every
        return line["step"] % every == 0


class DivergedError(UserError):
    """A loss is not finite: going on would only spoil the networks."""


@dataclass
class RunLog(AbstractContextManager["RunLog"]):
    """The writers of one run."""

    run: Run
    bar: Bar
    background: Background  # where pictures are written, and trackers told
    trackers: Trackers
    loader: Loader  # says how long the devices have waited for data
    intervals: Intervals
    start: int  # the step that the run begins or continues from
    batch_size: int
    sums: Logged | None  # of the figures since the last line, and over how many `steps`
    chance_loss: float | None  # of a discriminator that cannot tell real from filled
    baselines: dict[str, Any]  # the validation figures that a model has to beat
    best_by: str = MAIN  # the validation metric of which the best step has most

    def __post_init__(self) -> None:
        self._validations = self.run.lines("validation")
        self.background.submit(self.trackers.begin)
        self._pending: tuple[int, Logged, Future[tuple[float, float]]] | None = None
        self._timer = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-clock")
        self._stuck_since: float = self.start
        self._drawn, self._undrawn = time.monotonic(), False
        self.restart_clock(self.start)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is pending, unless an error ends the run; and the last picture in any case."""
        try:
            if kind is None:
                self.flush()
        finally:
            if self._undrawn:
                self.background.submit(self._draw)
            self._timer.shutdown(wait=False, cancel_futures=True)

    def restart_clock(self, step: int) -> None:
        """Measure the rate from here: what came before was not training."""
        self._clock, self._clock_waited, self._clock_step = *self._now(), step

    def step(self, at: int, logged: Logged) -> None:
        """Take what a step reports; a line is written when it is due, one window late."""
        if self.sums is not None and self.sums.keys() == logged.keys():
            self.sums = step.add(self.sums, logged)
        else:  # a new window; or resumed from a version that logged other figures
            self.sums = logged
        if at == self.start + 1:
            jax.block_until_ready(self.sums)  # compiling is not training speed
            self.restart_clock(at)
        if self.intervals.due(at, self.intervals.log_every):
            self.flush()
            self._pending = at, self.sums, self._timer.submit(self._end, self.sums)
            if at % self.intervals.log_every == 0:  # a run that is made longer goes on summing
                self.sums = None

    def flush(self) -> None:
        """Write the pending line; a `DivergedError` where a figure of it is not finite."""
        if self._pending is None:
            return
        at, sums, end = self._pending
        self._pending = None
        means = _means(at, sums)
        seconds, waited = end.result()
        steps, seconds_since = at - self._clock_step, seconds - self._clock
        if steps > 0:  # else it was only compiled
            means |= {
                "images_per_second": round(steps * self.batch_size / seconds_since, 1),
                "waited_for_data": round((waited - self._clock_waited) / seconds_since, 4),
            }
        self._clock, self._clock_waited, self._clock_step = seconds, waited, at
        line = self._write("train", at, means)
        self._warn_if_stuck(line)
        self.bar.show(line)

    def check_finite(self, at: int, state: TrainState) -> None:
        """Write what is pending; a `DivergedError` where a figure or parameter is not finite."""
        self.flush()
        if self.sums is not None:
            _means(at, self.sums)
        if not bool(step.finite(state)):
            raise DivergedError(f"step {at}: parameters are not finite; {ADVICE}")

    def validation(self, at: int, figures: dict[str, float]) -> None:
        """Write the validation figures of a step."""
        self._validations.append(self._write("validation", at, figures))
        shown = {
            n: f"{METRICS[n].heading} {METRICS[n].shown(figures[n])}"
            for n in METRICS
            if n in figures  # no thin hole has a sharpness
        }
        if fills := to_beat(self.baselines):
            shown[MAIN] += f" ({', '.join(fills)})"
        log.info("step %d: validation %s", at, ", ".join(shown.values()))
        self.restart_clock(at)

    def summarise(self) -> None:
        """Rewrite ``summary.json`` and, in the background and not too often, ``curves.png``."""
        kept = ("step", *METRICS)  # not those of the raw weights
        lines = [line for line in self._validations if is_number(line.get(self.best_by))]
        figures = [{n: v for n, v in line.items() if n in kept and is_number(v)} for line in lines]
        if not figures:
            return
        # Of equals the last: that of which the checkpoint is kept.
        best = max(figures, key=lambda line: (line[self.best_by], line["step"]))
        summary = {"split": "validation", "step": figures[-1]["step"]}
        summary |= {"last": figures[-1], "best": best}
        summary |= {"baselines": self.baselines, "chance_loss": self.chance_loss}
        self.run.write_summary(summary)
        self._undrawn = True
        if time.monotonic() - self._drawn >= DRAWN_EVERY:
            self.background.submit(self._draw)

    def _draw(self) -> None:
        if not self._undrawn:  # what asked for it has been drawn meanwhile
            return
        from ctxenc.report import curves  # matplotlib: half a second, in the background

        self._undrawn = False
        curves.save(self.run.curves, self.run.plot())
        self._drawn = time.monotonic()

    def _write(self, split: str, at: int, figures: Mapping[str, float]) -> dict[str, Any]:
        """Write a line of figures, and return it."""
        shown = {f"{split}/{name}": value for name, value in figures.items()}
        self.background.submit(self.trackers.figures, at, shown)
        epoch = round(at / self.intervals.steps_per_epoch, 4)
        line = {"split": split, "step": at, "epoch": epoch, **figures}
        self.run.append_metrics(line)
        return line

    def _warn_if_stuck(self, line: dict[str, Any]) -> None:
        if self.chance_loss is None:
            return
        both = line["discriminator_loss_real"] + line["discriminator_loss_fake"]
        stuck_for = line["step"] - self._stuck_since
        if abs(both / 2 - self.chance_loss) > STUCK_WITHIN:
            self._stuck_since = line["step"]
        elif stuck_for >= STUCK_STEPS:
            self._stuck_since = math.inf  # told once, until it changes
            log.warning(
                "step %d: the discriminator's loss has stayed at %.3f for %d steps: it cannot tell "
                "real holes from filled ones; a higher learning_rate_d may help",
                *(line["step"], self.chance_loss, stuck_for),
            )

    def _now(self) -> tuple[float, float]:
        """The time, and how long the devices have waited for data by now; both in seconds."""
        return time.monotonic(), self.loader.waited

    def _end(self, sums: Logged) -> tuple[float, float]:
        """`_now` when the last step of a window is done: it may be read much later, or at once."""
        jax.block_until_ready(sums)
        return self._now()


def _means(at: int, sums: Logged) -> dict[str, float]:
    """The mean figures of a window that ends with a step; those that are not finite are refused."""
    numbers = {name: float(value) for name, value in jax.device_get(sums).items()}
    steps = numbers.pop("steps")
    means = {name: total / steps for name, total in numbers.items()}
    for name, value in means.items():
        if not math.isfinite(value):
            raise DivergedError(f"step {at}: {name} is {value}; {ADVICE}")
    return means
