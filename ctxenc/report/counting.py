"""Progress of a pass over images, on standard error."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10


class Counting(Progress):
    """A live bar for each pass on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """So many of `total` images are done in the pass called `what`."""
        if self.console.is_terminal:
            if what not in self._bars:
                self._bars[what] = self.add_task(what, total=total)
            self.update(self._bars[what], completed=done)
            return
        now = time.monotonic()
        if done == total or now - self._printed.get(what, -1e9) > SECONDS_BETWEEN_LINES:
            self._printed[what] = now
            print(f"{what}: {done}/{total} images", file=self.console.file, flush=True)
