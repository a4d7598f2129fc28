"""The one kind of error that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: a key, a file, a dataset.

    The message is one line that names the key or file, what it got and what was expected.
    Programs print it without a traceback and exit with a non-zero status.
    """


def printable(text: str) -> str:
    """The text with control characters, and half characters, as a visible stand-in."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else "\ufffd" for c in text)
