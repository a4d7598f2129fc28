"""How much of ctxenc a run goes through: modules and functions entered, and how many before data.

    python benchmarks/entered.py [OVERRIDE …]

Runs `ctxenc.run` for four steps with every call recorded (`sys.setprofile`, in every thread). A
function counts once however often it is called, nested ones, lambdas and generators among them; the
bodies of classes and modules do not count, nor do comprehensions, which Python 3.12 inlines.
A module counts where one of its functions is entered. The last line printed is one JSON
object; `--list` prints the names first.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import threading
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import ctxenc

COMPREHENSIONS = ("<listcomp>", "<dictcomp>", "<setcomp>")
HOME = str(Path(ctxenc.__file__).parent)


class Entered:
    """What has been entered, in order, and how many functions there were at the first batch."""

    def __init__(self) -> None:
        self._codes: dict[CodeType, tuple[str, str]] = {}
        self._bodies: set[CodeType] = set()
        self.before_data: int | None = None

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Called by the interpreter."""
        code = frame.f_code
        if event != "call" or code in self._codes or not code.co_filename.startswith(HOME):
            return
        if code.co_name in COMPREHENSIONS or not code.co_flags & CO_OPTIMIZED:
            return
        module = code.co_filename.removeprefix(HOME).strip("/").removesuffix(".py")
        if code.co_name == "next_batch" and self.before_data is None:
            self.before_data = len(self._codes)
        self._codes[code] = module.replace("/", "."), code.co_qualname

    @property
    def functions(self) -> list[tuple[str, str]]:
        """(module, name) in the order in which they were entered."""
        return list(self._codes.values())


def main() -> None:
    """Run, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--list", action="store_true", help="print every name")
    parser.add_argument("overrides", nargs="*", help="as for ctxenc.train")
    options = parser.parse_args()
    entered = Entered()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        threading.setprofile(entered)
        sys.setprofile(entered)
        try:
            ctxenc.run("max_steps=4", *options.overrides)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    found = entered.functions
    if options.list:
        for number, (module, name) in enumerate(found, 1):
            print(f"{number:4} {module}: {name}")
    modules = {module for module, _ in found}
    counts = {"modules": len(modules), "functions": len(found), "before": entered.before_data}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
