"""Output that nobody need read: a terminal or a pipe that goes away never ends the work."""

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

GONE = (errno.EPIPE, errno.EIO)  # ``| head`` has read enough; the terminal was closed
ASCII = {"−": "-", "–": "-", "±": "+/-", "×": "x", "≈": "~", "…": "..."}


class Lasting:
    """A text stream, or None, that can be written to whether or not anybody reads it.

    Where `only` is given, errors of other numbers (`errno`) are raised as ever.
    """

    def __init__(self, stream: Any, only: tuple[int, ...] = ()):
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        self._only = only

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write it, or nothing."""
        with self._suppressed():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, as far as it goes."""
        with self._suppressed():
            self._stream.flush()

    @contextlib.contextmanager
    def _suppressed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._only and error.errno not in self._only:
                raise


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Standard output and error that last, and hold any character and any name of a file."""
    codecs.register_error("ctxenc", _in_other_letters)
    before = sys.stdout, sys.stderr
    for stream in filter(None, before):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ctxenc")
    sys.stdout, sys.stderr = Lasting(before[0], GONE), Lasting(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in filter(None, before):
            try:
                stream.flush()
            except OSError:  # else Python would, as it ends, and say so
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _in_other_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """The bytes of a file's name as they are, and what a terminal has no letter for in ASCII."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return character.encode("ascii", "surrogateescape"), error.start + 1
    escaped = character.encode("ascii", "backslashreplace").decode("ascii")
    return ASCII.get(character, escaped), error.start + 1
