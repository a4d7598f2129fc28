"""Where ctxenc's log goes while a run trains."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ctxenc.errors import UserError, printable
from ctxenc.parallel.processes import is_main


class _File(logging.FileHandler):
    """A log file that cannot be written (a full disk) is no reason to fill the terminal."""

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        if path.is_symlink():  # in a stranger's run folder it could lead to any file
            raise UserError(f"{path}: a link; expected a file of the run's own")
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        pass


def _plain(record: logging.LogRecord) -> bool:
    """Names of files and runs that would steer the terminal, or forge a line, do not."""
    record.msg, record.args = printable(record.getMessage()), None
    return True


@contextlib.contextmanager
def to(file: Path, console: logging.Handler) -> Iterator[None]:
    """While open, ctxenc's log goes to `console` and, with tracebacks, to `file`.

    Of several processes, one writes the file, and the others show errors alone.
    """
    handlers = [console]
    console.setLevel(logging.INFO if is_main() else logging.ERROR)
    if is_main():
        handlers.insert(0, _File(file, encoding="utf-8"))
        handlers[0].setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        )
    ours = logging.getLogger("ctxenc")
    before = ours.level, ours.propagate
    ours.setLevel(logging.DEBUG)
    ours.propagate = False
    for handler in handlers:
        handler.addFilter(_plain)
        ours.addHandler(handler)
    try:
        yield
    finally:
        ours.setLevel(before[0])
        ours.propagate = before[1]
        for handler in handlers:
            ours.removeHandler(handler)
            handler.removeFilter(_plain)
        if is_main():
            with contextlib.suppress(OSError):  # what it could not write
                handlers[0].close()
