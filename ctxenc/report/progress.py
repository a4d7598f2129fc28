"""Progress on standard error: live bars on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ctxenc.output import Lasting

SECONDS_BETWEEN_LINES = 10
SHOWN_WAIT = 0.01  # of the time


class Counting(Progress):
    """Progress of passes over images: a bar, or lines, for each."""

    def __init__(self, label: str = "{task.description}", *after: str, quiet: bool = False):
        console = Console(file=Lasting(sys.stderr))  # type: ignore[arg-type]  # a file to rich
        super().__init__(
            TextColumn(label),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            *map(TextColumn, after),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """So many of `total` images are done in the pass called `what`."""
        if what not in self._bars:
            self._bars[what] = self.add_task(what, total=total)
        self.update(self._bars[what], completed=done)
        self._line(what, f"{what}: {done}/{total} images", last=done == total)

    def _line(self, what: str, text: str, *, last: bool) -> None:
        """Print it, unless on a terminal or within ten seconds of the one before."""
        now = time.monotonic()
        due = last or now - self._printed.get(what, -float("inf")) > SECONDS_BETWEEN_LINES
        if due and not self.console.is_terminal:
            self._printed[what] = now
            print(text, file=self.console.file, flush=True)


class Bar(Counting):
    """The progress of a training run; `quiet`, nothing."""

    def __init__(self, total: int, *, steps_per_epoch: int, batch_size: int, quiet: bool = False):
        super().__init__("epoch {task.fields[epoch]}", "{task.fields[losses]}", quiet=quiet)
        self._quiet, self._total, self._batch_size = quiet, total, batch_size
        self._epochs = total / steps_per_epoch
        self._task = self.add_task("", total=total, epoch="", losses="compiling")

    def handler(self) -> logging.Handler:
        """A log handler whose lines do not tear the bar."""
        if self.console.is_terminal:
            return RichHandler(
                console=self.console, show_path=False, show_time=False, highlighter=None
            )
        handler = logging.StreamHandler(self.console.file)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        return handler

    def step(self, step: int) -> None:
        """Move the bar."""
        self.update(self._task, completed=step)

    def show(self, record: dict[str, Any]) -> None:
        """Show the losses of a line of ``metrics.jsonl``."""
        if self._quiet:
            return
        step, rate = record["step"], record.get("images_per_second")
        epoch, losses = f"{record['epoch']:.2f}/{self._epochs:.4g}", describe(record)
        self.update(self._task, epoch=epoch, losses=losses)
        left = f" {(self._total - step) * self._batch_size / rate:.0f} s left" if rate else ""
        text = f"epoch {epoch} step {step}/{self._total} {losses}{left}"
        self._line("", text, last=step == self._total)


def describe(record: dict[str, Any]) -> str:
    """A training record in one line: rate, losses, and the discriminator's accuracy."""
    rate = record.get("images_per_second")
    words = [f"{rate:.0f} images/s"] if rate else []
    if (waited := record.get("waited_for_data") or 0) >= SHOWN_WAIT:
        words.append(f"(waiting for data {waited:.0%} of the time)")
    words.append(f"G {record['generator_loss']:.4f}")
    if "discriminator_loss" in record:
        words.append(
            f"D {record['discriminator_loss']:.3f} "
            f"(right on {record['accuracy_real']:.0%} real, {record['accuracy_fake']:.0%} filled)"
        )
    return " ".join(words)
