"""Running a sweep, new or taken up, through Hydra."""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Sequence

from ctxenc import launch
from ctxenc.config.compose import compose
from ctxenc.sweeps import start
from ctxenc.sweeps.closing_table import closing
from ctxenc.sweeps.folder import Sweep
from ctxenc.sweeps.overrides import single_runs


def run(overrides: Sequence[str], hydra_main: Callable[[], None]) -> tuple[Sweep, bool]:
    """Run every job that is missing or unfinished, and show how all of them ended.

    Args:
        overrides: the command line's; ``resume=SWEEP`` takes one up.
        hydra_main: Hydra's entry, which reads `sys.argv`.

    Returns:
        (the sweep, whether every job has finished).

    Raises:
        UserError: bad input, before anything is written; or another process at work on the sweep.
    """
    folder, changes = launch.split_resume(overrides)
    if folder is None:
        sweep, arguments = start.begin(overrides)
    else:
        with Sweep(folder).lock():
            sweep, arguments = start.take_up(folder, changes)
    with sweep.lock():
        try:
            _start(arguments, hydra_main)
        finally:
            jobs = sweep.refresh()
            objective = compose(single_runs(sweep.command)[0]).monitor
            print(closing(sweep, jobs, objective), file=sys.stderr)
    states = [job.state for job in jobs]
    return sweep, states.count("finished") == len(states) == sweep.planned


def _start(arguments: Sequence[str], hydra_main: Callable[[], None]) -> None:
    sys.argv = [sys.argv[0], "--multirun", *arguments]
    if "hydra/sweeper=optuna" in arguments:
        importlib.import_module("optuna").logging.set_verbosity(logging.WARNING)
    with contextlib.suppress(SystemExit):  # Hydra has said why: a process of a launcher died, say
        hydra_main()


def is_resume(overrides: Sequence[str]) -> bool:
    """Whether a command takes up a sweep."""
    folder, _ = launch.split_resume(overrides)
    return folder is not None and Sweep.there(folder)
