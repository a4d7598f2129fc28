"""What the terminal shows while a run trains; all of it on standard error."""

import logging
import time
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10
SHOWN_WAIT = 0.01  # of the time


class Bar:
    """A live bar on a terminal; a plain line every ten seconds elsewhere; `quiet`, nothing."""

    def __init__(self, total: int, *, steps_per_epoch: int, batch_size: int, quiet: bool = False):
        self.console = Console(stderr=True)
        self._quiet = quiet
        self._total, self._batch_size = total, batch_size
        self._epochs = total / steps_per_epoch
        self._printed = -float("inf")
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, epoch="", losses="compiling")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

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
        self._bar.update(self._task, completed=step)

    def show(self, record: dict[str, Any]) -> None:
        """Show the losses of a line of ``metrics.jsonl``."""
        if self._quiet:
            return
        epoch = f"{record['epoch']:.2f}/{self._epochs:.4g}"
        losses = describe(record)
        self._bar.update(self._task, epoch=epoch, losses=losses)
        now = time.monotonic()
        last = record["step"] == self._total
        if not self.console.is_terminal and (last or now - self._printed > SECONDS_BETWEEN_LINES):
            self._printed = now
            images_left = (self._total - record["step"]) * self._batch_size
            rate = record.get("images_per_second")
            left = f" {images_left / rate:.0f} s left" if rate else ""
            self.console.file.write(
                f"epoch {epoch} step {record['step']}/{self._total} {losses}{left}\n"
            )
            self.console.file.flush()


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
