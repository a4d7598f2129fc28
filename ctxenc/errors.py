"""What ends a program with one line: an error for the user to read, a stop. And what does not."""

import contextlib
import logging
import signal
from collections.abc import Iterator

log = logging.getLogger(__name__)


class UserError(Exception):
    """Something the user can mend: a key, a file, a dataset.

    The message is one line that names the key or file, what it got and what was expected.
    Programs print it without a traceback and exit with a non-zero status.
    """


class Interrupted(KeyboardInterrupt):
    """A run stopped as asked, its state saved. `signum` is the signal that asked."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextlib.contextmanager
def warned(told: set[str] | None = None) -> Iterator[None]:
    """What fails here, a picture say, costs nothing else: a warning says what is missing, and why.

    What is in `told` has been said before.
    """
    try:
        yield
    except Exception as error:  # Matplotlib, Pillow and TensorBoard raise many kinds
        message = f"not written: {type(error).__name__}: {error}"
        if message not in (told or ()):
            log.debug("not written", exc_info=error)
            log.warning("%s", message)
        if told is not None:
            told.add(message)


def printable(text: str) -> str:
    """The text with control characters, and half characters, as a visible stand-in."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else "\ufffd" for c in text)
