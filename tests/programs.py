"""ctxenc's programs, called as a command line calls them, in this process."""

import contextlib
import importlib
import io
import os
import sys
from typing import NamedTuple
from unittest import mock

from ctxenc.config import search_path


class Ended(NamedTuple):
    """What is left of a program, by the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def started(name, *arguments, cwd=".", **environment):
    """``python -m ctxenc.NAME``, to its end, whatever that is: seconds sooner than as a process."""
    module, out, err = importlib.import_module(f"ctxenc.{name}"), io.StringIO(), io.StringIO()
    command = [f"ctxenc.{name}", *map(str, arguments)]
    # pytest-xdist sets COLUMNS in its workers.
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | environment
    status = 0
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.dict(os.environ, environment, clear=True),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            module.main()
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            search_path.add(None)
    return Ended(status, out.getvalue(), err.getvalue())


def program(name, *arguments):
    """What it prints on standard output; it must end well."""
    done = started(name, *arguments)
    assert done.returncode == 0, done
    return done.stdout
