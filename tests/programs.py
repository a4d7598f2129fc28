"""ctxenc's programs, called as a command line calls them, in this process."""

import contextlib
import importlib
import io
import sys
from unittest import mock


def program(name, *arguments):
    """What ``python -m ctxenc.NAME`` prints on standard output; it must end well."""
    module, out = importlib.import_module(f"ctxenc.{name}"), io.StringIO()
    command = [f"ctxenc.{name}", *map(str, arguments)]
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out):
        try:
            module.main()
        except SystemExit as end:
            if end.code:
                raise AssertionError((end.code, out.getvalue())) from end
    return out.getvalue()
