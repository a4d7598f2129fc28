"""Running a sweep, new or resumed, through Hydra."""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ctxenc import launch
from ctxenc.config.compose import PRIMARY
from ctxenc.errors import UserError
from ctxenc.runs.folder import reserve
from ctxenc.sweeps import start
from ctxenc.sweeps.closing_table import closing
from ctxenc.sweeps.folder import FILE, Sweep


def run(
    overrides: Sequence[str],
    hydra_main: Callable[[], None],
    config_name: str = PRIMARY,
    config_dir: str | None = None,
) -> tuple[Sweep, bool]:
    """Run every job that is missing or unfinished, and show how all of them ended.

    Args:
        overrides: the command line's; ``resume=SWEEP`` goes on with one.
        hydra_main: Hydra's entry, which reads `sys.argv`.
        config_name: the configuration file to begin with.
        config_dir: the user's own folder of them, which `search_path` knows already.

    Returns:
        (the sweep, whether every job has finished).

    Raises:
        UserError: bad input, before anything is written; or another process at work on the sweep.
    """
    folder, changes = launch.split_resume(overrides)
    if folder is None:
        plan = start.new(overrides, config_name)
        sweep = Sweep(reserve(Path(plan.shared.hydra.sweep.dir)))
    elif Sweep.there(folder):
        sweep = Sweep(folder)
        plan = start.resumed(sweep, changes, config_name)
    else:
        raise UserError(
            f"resume={folder}: expected a sweep's folder, with {FILE}, or no --multirun"
        )
    again = [text for text in plan.command if start.SEARCHPATH in text.partition("=")[0]]
    again += [f"--config-dir={Path(config_dir).absolute()}"] if config_dir else []
    again += [f"--config-name={config_name}"] if config_name != PRIMARY else []
    with sweep.lock():
        sweep.refresh(command=plan.saved, planned=plan.planned, config_name=config_name)
        try:
            _start(plan, sweep, hydra_main)
        finally:
            jobs = sweep.refresh()
            text = closing(sweep.path, jobs, plan.planned, plan.shared.monitor, again)
            print(text, file=sys.stderr)
    return sweep, sum(job.state == "finished" for job in jobs) == len(jobs) == plan.planned


def _start(plan: start.Plan, sweep: Sweep, hydra_main: Callable[[], None]) -> None:
    sys.argv = [sys.argv[0], "--multirun", *plan.arguments(sweep.path)]
    if "optuna" in plan.shared.hydra.sweeper._target_:
        importlib.import_module("optuna").logging.set_verbosity(logging.WARNING)
    with contextlib.suppress(SystemExit):  # Hydra has said why: a process of a launcher died, say
        hydra_main()


def is_resume(overrides: Sequence[str]) -> bool:
    """Whether a command goes on with a sweep."""
    folder, _ = launch.split_resume(overrides)
    return folder is not None and Sweep.there(folder)
