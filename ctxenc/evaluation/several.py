"""Many runs with one command: each evaluated once, and a failure never stopping the others."""

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from ctxenc.comparison import records
from ctxenc.config.compose import compose
from ctxenc.errors import UserError, printable
from ctxenc.evaluation.evaluate import checked, evaluate
from ctxenc.evaluation.folder import Evaluation
from ctxenc.evaluation.load import changed
from ctxenc.report.progress import Counting
from ctxenc.report.scores import show_runs

OVERRIDE = re.compile(r"[+~]|[A-Za-z_][\w.]*=")  # how one begins; a sweep's jobs begin with digits


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the folders among a command line's arguments, the overrides)."""
    folders = [text for text in arguments if not OVERRIDE.match(text)]
    return folders, [text for text in arguments if OVERRIDE.match(text)]


def evaluate_all(folders: Sequence[str], *, force: bool = False, **asked: Any) -> bool:
    """Evaluate every run at or below the folders, and show how their models stand.

    A run that has been evaluated with the same options, with the weights that it has now, is left
    as it is: so a command that was killed goes on where it was. Each line of standard error says
    what became of a run.

    Args:
        folders: of runs, of sweeps, or of those.
        force: evaluate also those that have been.
        asked: arguments of `evaluate`, the same for all runs.

    Returns:
        Whether every run has been evaluated.

    Raises:
        UserError: bad input that is no single run's.
    """
    checked(asked["against"], asked["name"], asked["slow_images"])
    changed(compose(), asked["overrides"])
    runs, done = records.load(folders), {}
    for run in runs:
        kept: list[Evaluation] = []

        def keep(evaluation: Evaluation, kept: list[Evaluation] = kept) -> bool:
            kept += [] if force else [evaluation]
            return not force

        how = "" if run.state == "finished" else f" (run {run.state}: {run.problem})"
        try:
            with Counting() as counting:
                evaluation = evaluate(run.run.path, **asked, keep=keep, progress=counting)
            done[run.label] = evaluation.metrics
            became = (
                "evaluated already; --force does it anew" if kept else done[run.label]["verdict"]
            )
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            became = f"NOT EVALUATED: {kind}{error}"
        print(printable(f"{run.label}: {became}{how}"), file=sys.stderr)
    show_runs(done)
    print(f"{len(done)} of {len(runs)} runs evaluated")
    print("to compare them: python -m ctxenc.compare", shlex.join(folders))
    return len(done) == len(runs)
