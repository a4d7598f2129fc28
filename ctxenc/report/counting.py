"""Progress of a pass over images, on standard error."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10


class Counting:
    """A live bar for each pass on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._live, self._file = console.is_terminal, console.file
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[str, float] = {}
        self._ids: dict[str, int] = {}

    def __enter__(self) -> "Counting":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """So many of `total` images are done in the pass called `what`."""
        if self._live:
            if what not in self._ids:
                self._ids[what] = self._bar.add_task(what, total=total)
            self._bar.update(self._ids[what], completed=done)  # type: ignore[arg-type]
            return
        now = time.monotonic()
        if done == total or now - self._tasks.get(what, -1e9) > SECONDS_BETWEEN_LINES:
            self._tasks[what] = now
            self._file.write(f"{what}: {done}/{total} images\n")
            self._file.flush()
