"""Many runs with one command: each evaluated once, and a failure never stopping the others."""

import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ctxenc import cli
from ctxenc.comparison import records
from ctxenc.comparison.records import Record
from ctxenc.config import search_path
from ctxenc.config.compose import compose
from ctxenc.errors import UserError, printable
from ctxenc.evaluation.evaluate import checked, evaluate
from ctxenc.evaluation.folder import Evaluation
from ctxenc.evaluation.load import KEYS, overridden
from ctxenc.paths import expanded
from ctxenc.report.progress import Counting
from ctxenc.report.scores import show_runs

Done = TypeVar("Done", bound=Evaluation)

OVERRIDE = re.compile(r"[+~]|[A-Za-z_][\w.]*=")  # how one begins; a sweep's jobs begin with digits


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the folders among a command line's arguments, the overrides)."""
    folders = [text for text in arguments if not OVERRIDE.match(text)]
    return folders, [text for text in arguments if OVERRIDE.match(text)]


def of_runs(
    program: str,
    asked: dict[str, Any],
    one: Callable[..., Evaluation],
    several: Callable[..., bool],
    show: Callable[[dict[str, Any]], None],
) -> None:
    """What a program does with its command line: of one run, show the figures and their folder.

    Of several runs, or of a folder of runs, it exits with 0 where `several` says that all are done.

    Args:
        program: its name.
        asked: the options: `given` are folders and overrides in any order, the others are arguments
            of `one` and `several`, but for `force` and `config_dir`.
        one: `ctxenc.evaluation.evaluate.evaluate`, or what takes as much.
        several: `evaluate_all`, likewise.
        show: prints the figures.
    """
    folders, asked["overrides"] = split(asked.pop("given"))
    if not folders:
        raise UserError(f"no run is named; expected {cli.called(program)} RUN (see --help)")
    search_path.add(asked.pop("config_dir"))
    force, first = asked.pop("force"), expanded(folders[0])
    if len(folders) > 1 or not os.path.lexists(first / ".hydra" / "config.yaml"):
        raise SystemExit(not several(folders, force=force, **asked))
    with Counting() as counting:
        done = one(folders[0], **asked, progress=counting)
    show(done.metrics)
    print(done.path)


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
    overridden(compose(), asked["overrides"], KEYS)
    runs = records.load(folders)
    once = functools.partial(evaluate, **asked)
    done = each(runs, once, "evaluated", lambda metrics: metrics["verdict"], force=force)
    show_runs({run.label: evaluation.metrics for run, evaluation in done.items()})
    print(f"{len(done)} of {len(runs)} runs evaluated")
    print("to compare them: python -m ctxenc.compare", shlex.join(folders))
    return len(done) == len(runs)


def each(
    runs: Sequence[Record],
    once: Callable[..., Done],
    participle: str,
    verdict: Callable[[dict[str, Any]], str],
    *,
    force: bool,
) -> dict[Record, Done]:
    """What `once` gives for each run; a line of standard error says what became of it.

    A run of which it raises an error is left out.

    Args:
        runs: the runs.
        once: `evaluate`, or what takes the same `keep` and `progress`.
        participle: what a run then is, in the lines.
        verdict: what a line says of the ``metrics.json`` of one that is new.
        force: do it also for those that have been.
    """
    done: dict[Record, Done] = {}
    for run in runs:
        kept: list[Done] = []

        def keep(found: Done, kept: list[Done] = kept) -> bool:
            kept += [] if force else [found]
            return not force

        how = "" if run.state == "finished" else f" (run {run.state}: {run.problem})"
        try:
            with Counting() as counting:
                done[run] = once(run.run.path, keep=keep, progress=counting)
            already = f"{participle} already; --force does it anew"
            became = already if kept else verdict(done[run].metrics)
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            became = f"NOT {participle.upper()}: {kind}{error}"
        print(printable(f"{run.label}: {became}{how}"), file=sys.stderr)
    return done
