"""Trackers: who is told what a run does, beside its own folder. TensorBoard always is.

A tracker is a subclass of `Tracker`. It overrides what it has use for, and the arguments of its
class are the options in ``conf/tracker/<name>.yaml``::

    class Lines(ctxenc.tracking.Tracker):
        def __init__(self, file: str):
            self.file = file

        def figures(self, step, values):
            with open(self.file, "a") as out:
                print(step, *values.items(), file=out)

The object is made before anything is written: a `UserError` there, for a package that is missing
say, ends the program in one line. The methods are called in the order of the run, in a thread that
training does not wait for, and of several processes in the one that writes. What they raise is a
warning, the first time, and ends no run.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run


class Tracker:
    """Does nothing: the choice ``tracker=none``, and what others begin with."""

    def begin(
        self, run: Run, config: Mapping[str, Any], start: int, known: str | None
    ) -> str | None:
        """The run is under way.

        Args:
            run: its folder, with the whole configuration (`run.config`).
            config: the keys that are no mere places, flat: ``model.generator.widths``.
            start: the step that it continues from; 0 for a new run.
            known: what this returned when the run began, where it is resumed.

        Returns:
            What the tracker knows the run by, so that a resumed run goes on there.
        """

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step: ``train/generator_loss``, ``validation/psnr_db``."""

    def grid(self, step: int, picture: Path) -> None:
        """A grid of samples has been written, as a PNG."""

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """The run has `finished`, `failed` or been `interrupted`, which may be resumed.

        Args:
            state: one of these.
            summary: what ``summary.json`` has, flat: ``best/psnr_db``; empty before a validation.
        """


def check_installed(package: str) -> None:
    """A `UserError` that names the extra, where a package of the same name is not installed."""
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"tracker={package}: {package} is not installed; it comes with an extra: "
            f"pip install 'ctxenc[{package}]'"
        )
