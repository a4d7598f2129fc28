"""What ends a program with one line: an error that a user is meant to read, and a stop."""

import signal


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


def printable(text: str) -> str:
    """The text with control characters, and half characters, as a visible stand-in."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else "\ufffd" for c in text)
