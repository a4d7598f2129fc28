"""What the programs share: errors as one line and an exit status."""

import contextlib
import logging
import sys
from collections.abc import Iterator

from ctxenc.errors import Interrupted, UserError, printable


@contextlib.contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Turn what a user can mend, or asked for, into one line on standard error.

    Exits with 1 for a `UserError` or an error of the operating system (a full disk, a folder that
    cannot be written), and with 128 + signal number for an interruption. Anything else is a fault
    of this package and keeps its traceback.
    """
    for library in ("absl", "asyncio"):  # Orbax and TFDS; their errors reach us
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        yield
    except UserError as error:
        _leave(program, str(error), 1)
    except OSError as error:
        _leave(program, f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), 1)
    except Interrupted as stop:
        _leave(program, f"stopped by {stop}; resume=RUN goes on", 128 + stop.signum)
    except KeyboardInterrupt:
        _leave(program, "stopped by Ctrl-C", 130)


def _leave(program: str, message: str, status: int) -> None:
    print(f"{program}: {printable(message)}", file=sys.stderr)
    raise SystemExit(status)
