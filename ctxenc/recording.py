"""What a run writes while it trains: metrics lines, TensorBoard, curves, summary, warnings.

Losses are read from the device one window late, so that reading them never stalls the steps that
are already under way.
"""

import logging
import math
import time
from typing import Any

import jax
from tensorboardX import SummaryWriter

from ctxenc import metrics
from ctxenc.checkpoints import BEST_BY
from ctxenc.errors import UserError
from ctxenc.report import curves, progress
from ctxenc.runs import Run
from ctxenc.step import LOSSES, GanState, Losses, finite

log = logging.getLogger(__name__)

ADVICE = "the last checkpoint is from before; lower learning rates, in a new run, may help"
STUCK_STEPS = 100
STUCK_WITHIN = 0.003  # nats of ln 2


class DivergedError(UserError):
    """A loss is not finite: going on would only spoil the networks."""


def _refuse_not_finite(step: int, found: dict[str, Any]) -> None:
    for name in LOSSES:
        if found[name] is not None and not math.isfinite(found[name]):
            raise DivergedError(f"step {step}: the {name} loss is {found[name]}; {ADVICE}")


class Recorder:
    """The writers of one run; `baselines` are the test figures that a model has to beat."""

    def __init__(
        self,
        run: Run,
        live: progress.Live,
        *,
        start: int,
        batch_size: int,
        steps_per_epoch: int,
        adversarial: bool,
        baselines: dict[str, Any],
    ):
        self._run, self._live, self._baselines = run, live, baselines
        self._batch_size, self._steps_per_epoch = batch_size, steps_per_epoch
        self._adversarial = adversarial
        self._board = SummaryWriter(str(run.tensorboard), purge_step=start + 1)
        self._pending: tuple[int, Losses] | None = None
        self._clock, self._clock_step = time.monotonic(), start
        self._stuck_since, self._stuck_told = start, False

    def close(self) -> None:
        """Write what is pending and close the files."""
        self.flush()
        self._board.close()

    def restart_clock(self, step: int) -> None:
        """Measure the rate from here: what came before was not training."""
        self._clock, self._clock_step = time.monotonic(), step

    def losses(self, step: int, window: Losses) -> None:
        """Take a window's sums; they are written when the next window comes, or at `flush`."""
        self.flush()
        self._pending = step, window

    def flush(self) -> None:
        """Write the pending window.

        Raises:
            DivergedError: one of its losses is not finite; nothing of it is written.
        """
        if self._pending is None:
            return
        step, window = self._pending
        self._pending = None
        record = self._record(step, jax.device_get(window))
        _refuse_not_finite(step, record)
        if self._adversarial:
            self._warn_if_stuck(record)
        self._run.append_metrics(record)
        self._live.show(record)
        for name in (*LOSSES, "images_per_second"):
            if record[name] is not None:
                self._board.add_scalar(f"train/{name}", record[name], step)

    def _record(self, step: int, sums: dict[str, Any]) -> dict[str, Any]:
        count = float(sums["steps"])
        now = time.monotonic()
        steps, seconds = step - self._clock_step, now - self._clock
        rate = round(steps * self._batch_size / seconds, 1) if steps else None  # only compiled
        self.restart_clock(step)
        judged = {name: self._adversarial or name in ("generator", "pixelwise") for name in LOSSES}
        return {
            "split": "train",
            "step": step,
            "epoch": round(step / self._steps_per_epoch, 4),
            **{n: float(sums[n]) / count if judged[n] else None for n in LOSSES},
            "images_per_second": rate,
        }

    def stop_unless_finite(self, step: int, state: GanState) -> None:
        """Write what is pending, and refuse to go on with a state that is not finite.

        Raises:
            DivergedError: naming the loss, or the parameters where the losses were finite.
        """
        self.flush()
        if not bool(finite(state)):
            window = jax.device_get(state.window)
            _refuse_not_finite(step, window)
            raise DivergedError(f"step {step}: parameters are not finite; {ADVICE}")

    def _warn_if_stuck(self, record: dict[str, Any]) -> None:
        if abs(record["discriminator"] - math.log(2)) > STUCK_WITHIN:
            self._stuck_since, self._stuck_told = record["step"], False
        elif record["step"] - self._stuck_since >= STUCK_STEPS and not self._stuck_told:
            self._stuck_told = True
            log.warning(
                "step %d: the discriminator's loss has stayed at ln 2 for %d steps: it cannot tell "
                "real holes from filled ones; a higher learning_rate_d may help",
                *(record["step"], record["step"] - self._stuck_since),
            )

    def test(self, step: int, figures: dict[str, float]) -> None:
        """Write the test figures of a step."""
        epoch = round(step / self._steps_per_epoch, 4)
        self._run.append_metrics({"split": "test", "step": step, "epoch": epoch, **figures})
        for name, value in figures.items():
            self._board.add_scalar(f"test/{name}", value, step)
        context_mean = self._baselines["context_mean"][BEST_BY]
        log.info(
            "step %d: test PSNR %.2f dB (context mean %.2f), SSIM %.3f, L1 %.2f %%, L2 %.2f %%",
            *(step, figures["psnr_db"], context_mean, figures["ssim"]),
            *(figures["l1_percent"], figures["l2_percent"]),
        )

    def summarise(self) -> None:
        """Rewrite ``summary.json`` and ``curves.png`` from the lines of ``metrics.jsonl``."""
        test = self._run.metrics("test")
        if test:
            figures = [{k: line[k] for k in ("step", *metrics.NAMES)} for line in test]
            self._run.write_summary(
                {
                    "step": figures[-1]["step"],
                    "last": figures[-1],
                    "best": max(figures, key=lambda line: line[BEST_BY]),
                    "baselines": self._baselines,
                }
            )
        context_mean = self._baselines["context_mean"][BEST_BY]
        curves.save(self._run.curves, self._run.metrics("train"), test, context_mean)
