"""What a run writes while it trains: metrics lines, TensorBoard, curves, summary, warnings.

Losses are read from the device one window late, so that reading them never stalls the steps that
are already under way. TensorBoard and the curves are written in the background, and their libraries
imported there: together they take seconds.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from ctxenc.data.loaders import Feed
from ctxenc.errors import UserError
from ctxenc.metrics import per_image
from ctxenc.report import progress
from ctxenc.runs.checkpoints import BEST_BY
from ctxenc.runs.folder import Run
from ctxenc.runs.tensorboard import Board
from ctxenc.runtime.background import Background
from ctxenc.state import LOSSES, MISSING, Losses, TrainState
from ctxenc.step import finite

log = logging.getLogger(__name__)

ADVICE = "the last checkpoint is from before; lower learning rates, in a new run, may help"
SPEED = ("images_per_second", "waited_for_data")
STUCK_STEPS = 100
STUCK_WITHIN = 0.003  # of what a discriminator loses that cannot tell


class DivergedError(UserError):
    """A loss is not finite: going on would only spoil the networks."""


def _refuse_not_finite(step: int, found: dict[str, Any]) -> None:
    for name in LOSSES:
        if found[name] is not None and not math.isfinite(found[name]):
            raise DivergedError(f"step {step}: the {name} loss is {found[name]}; {ADVICE}")


class Recorder:
    """The writers of one run.

    `losses` are those that the run has, `blind` what a discriminator loses that cannot tell real
    from filled (None: there is none), `baselines` the test figures that a model has to beat.
    """

    def __init__(
        self,
        run: Run,
        live: progress.Live,
        background: Background,
        feed: Feed,
        *,
        start: int,
        batch_size: int,
        steps_per_epoch: int,
        losses: Sequence[str],
        blind: float | None,
        baselines: dict[str, Any],
    ):
        self._run, self._live, self._background, self._feed = run, live, background, feed
        self._baselines = baselines
        self._tests = run.metrics("test")
        self._batch_size, self._steps_per_epoch = batch_size, steps_per_epoch
        self._losses, self._blind = losses, blind
        self._board = Board(run, start)
        self._pending: tuple[int, Losses, Future[tuple[float, float]]] | None = None
        self._timer = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-clock")
        self.restart_clock(start)
        self._stuck_since, self._stuck_told = start, False

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is pending, unless an error ends the run, and close the file."""
        try:
            if kind is None:
                self.flush()
        finally:
            self._timer.shutdown(wait=False, cancel_futures=True)
            self._background.submit(self._board.close)

    def restart_clock(self, step: int) -> None:
        """Measure the rate from here: what came before was not training."""
        self._clock, self._clock_waited, self._clock_step = *_now(self._feed), step

    def losses(self, step: int, window: Losses) -> None:
        """Take a window's sums; they are written when the next window comes, or at `flush`."""
        self.flush()
        self._pending = step, window, self._timer.submit(_end, window, self._feed)

    def flush(self) -> None:
        """Write the pending window.

        Raises:
            DivergedError: one of its losses is not finite; nothing of it is written.
        """
        if self._pending is None:
            return
        step, window, end = self._pending
        self._pending = None
        record = self._record(step, jax.device_get(window), end.result())
        _refuse_not_finite(step, record)
        if self._blind is not None:
            self._warn_if_stuck(record, self._blind)
        self._run.append_metrics(record)
        self._live.show(record)
        self._show_on_board("train", step, {n: record[n] for n in (*LOSSES, *SPEED)})

    def _record(self, step: int, sums: dict[str, Any], end: tuple[float, float]) -> dict[str, Any]:
        count = float(sums["steps"])
        steps, seconds = step - self._clock_step, end[0] - self._clock
        timed = steps > 0  # else it was only compiled
        rate = round(steps * self._batch_size / seconds, 1) if timed else None
        waited = round((end[1] - self._clock_waited) / seconds, 4) if timed else None
        self._clock, self._clock_waited, self._clock_step = *end, step
        return {
            "split": "train",
            "step": step,
            "epoch": round(step / self._steps_per_epoch, 4),
            **{n: float(sums[n]) / count if n in self._losses else None for n in LOSSES},
            MISSING: round(float(sums[MISSING]) / count, 4),
            "images_per_second": rate,
            "waited_for_data": waited,
        }

    def _show_on_board(self, split: str, step: int, values: Mapping[str, float | None]) -> None:
        self._background.submit(self._board.show, split, step, values)

    def stop_unless_finite(self, step: int, state: TrainState) -> None:
        """Write what is pending, and refuse to go on with a state that is not finite.

        Raises:
            DivergedError: naming the loss, or the parameters where the losses were finite.
        """
        self.flush()
        if not bool(finite(state)):
            window = jax.device_get(state.window)
            _refuse_not_finite(step, window)
            raise DivergedError(f"step {step}: parameters are not finite; {ADVICE}")

    def _warn_if_stuck(self, record: dict[str, Any], blind: float) -> None:
        if abs((record["real"] + record["fake"]) / 2 - blind) > STUCK_WITHIN:
            self._stuck_since, self._stuck_told = record["step"], False
        elif record["step"] - self._stuck_since >= STUCK_STEPS and not self._stuck_told:
            self._stuck_told = True
            log.warning(
                "step %d: the discriminator's loss has stayed at %.3f for %d steps: it cannot tell "
                "real holes from filled ones; a higher learning_rate_d may help",
                *(record["step"], blind, record["step"] - self._stuck_since),
            )

    def test(self, step: int, figures: dict[str, float]) -> None:
        """Write the test figures of a step."""
        epoch = round(step / self._steps_per_epoch, 4)
        line = {"split": "test", "step": step, "epoch": epoch, **figures}
        self._run.append_metrics(line)
        self._tests.append(line)
        self._show_on_board("test", step, figures)
        context_mean = self._baselines["context_mean"][BEST_BY]
        log.info(
            "step %d: test PSNR %.2f dB (context mean %.2f), SSIM %.3f, L1 %.2f %%, L2 %.2f %%",
            *(step, figures["psnr_db"], context_mean, figures["ssim"]),
            *(figures["l1_percent"], figures["l2_percent"]),
        )

    def summarise(self) -> None:
        """Rewrite ``summary.json`` and, in the background, ``curves.png``."""
        figures = [{k: line[k] for k in ("step", *per_image.NAMES)} for line in self._tests]
        if not figures:
            return
        self._run.write_summary(
            {
                "step": figures[-1]["step"],
                "last": figures[-1],
                "best": max(figures, key=lambda line: line[BEST_BY]),
                "baselines": self._baselines,
            }
        )
        self._background.submit(_draw, self._run, self._baselines["context_mean"][BEST_BY])


def _now(feed: Feed) -> tuple[float, float]:
    """The time, and for how long the devices have waited for data by now; both in seconds."""
    return time.monotonic(), feed.waited


def _end(window: Losses, feed: Feed) -> tuple[float, float]:
    """`_now` when the last step of a window is done: it may be read much later, or at once."""
    jax.block_until_ready(window)
    return _now(feed)


def _draw(run: Run, context_mean_db: float) -> None:
    from ctxenc.report import curves  # matplotlib: half a second, in the background

    curves.save(run.curves, run.metrics("train"), run.metrics("test"), context_mean_db)
