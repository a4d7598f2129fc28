"""What the programs share: how they start, and errors as one line and an exit status."""

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctxenc
from ctxenc import output, stops
from ctxenc.errors import UserError, printable


def start() -> None:
    """Before anything is imported: hear stops, and open nothing as an output that was closed.

    With ``2>&-`` the first file that is opened would be what libraries print to. JAX reads its
    environment variables when it is imported, so here those that it cannot read are one line.
    """
    with contextlib.suppress(OSError):
        while (opened := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(opened)
    stops.leave_at_once()
    if given := [f"{name}={os.environ[name]}" for name in os.environ if name.startswith("JAX_")]:
        try:
            importlib.import_module("jax")
        except ValueError as error:
            _leave("ctxenc", f"{', '.join(given)}: {error}", 1)


def called(name: str) -> str:
    """How a program was called: ``python -m ctxenc.NAME`` or, as a script, ``ctxenc-NAME``."""
    script = f"ctxenc-{name}"
    return script if Path(sys.argv[0]).stem == script else f"python -m ctxenc.{name}"


def parser(
    name: str, kind: type[argparse.ArgumentParser] = argparse.ArgumentParser, **settings: Any
) -> argparse.ArgumentParser:
    """A program's command line, with ``--version``; texts name it by ``%(prog)s``."""
    made = kind(called(name), **settings)
    made.add_argument("--version", action="version", version=f"ctxenc {ctxenc.__version__}")
    return made


@contextlib.contextmanager
def program(name: str) -> Iterator[None]:
    """All that a program does once it is imported; it ends as `one_line_errors` says.

    Whether anybody reads what it prints does not matter to it, but standard output must not be a
    file that cannot be written. Stops raise `Interrupted`.
    """
    os.environ["MPLBACKEND"] = "agg"  # a notebook's cells name theirs, which need not be there
    for library in ("absl", "asyncio"):  # Orbax and TFDS; their errors reach us
        logging.getLogger(library).setLevel(logging.CRITICAL)
    with output.standard_streams(), stops.raised(), one_line_errors(name):
        try:
            Path.cwd()
        except OSError:
            raise UserError("the working directory is not there any more") from None
        try:
            yield
        finally:
            sys.stdout.flush()


@contextlib.contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Turn what a user can mend, or asked for, into one line on standard error.

    Exits with 1 for a `UserError` or an error of the operating system (a full disk, a folder that
    cannot be written), and with 128 + signal number for an interruption, whose last note says how
    to go on. Anything else is a fault of this package and keeps its traceback.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if os.environ.get("HYDRA_FULL_ERROR", "0") != "0":  # as Hydra's users expect
            error.__suppress_context__ = False
            traceback.print_exception(error)
        _leave(program, line_of(error), 1)
    except KeyboardInterrupt as stop:
        told = [f"stopped by {str(stop) or 'Ctrl-C'}", *getattr(stop, "__notes__", [])[-1:]]
        _leave(program, "; ".join(told), 128 + getattr(stop, "signum", signal.SIGINT))


def line_of(error: Exception) -> str:
    """What is said of a `UserError`, or of an error of the operating system."""
    message = str(error)
    if isinstance(error, OSError):
        message = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return printable(message)


def _leave(program: str, message: str, status: int) -> None:
    print(f"{program}: {printable(message)}", file=sys.stderr)
    raise SystemExit(status)
