"""Running a sweep, new or resumed, through Hydra, and the tables of how its jobs ended."""

import contextlib
import importlib
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ctxenc import launch
from ctxenc.comparison import comparison_table, sections
from ctxenc.comparison.formats import render
from ctxenc.comparison.records import Record
from ctxenc.config.schema import PRIMARY
from ctxenc.errors import UserError
from ctxenc.run_folder.new import reserve
from ctxenc.run_folder.session import to_go_on
from ctxenc.sweeps import start
from ctxenc.sweeps.folder import FILE, Sweep


def run(
    overrides: Sequence[str],
    hydra_main: Callable[[], None],
    config_name: str = PRIMARY,
    config_dir: str | None = None,
) -> tuple[Sweep, bool]:
    """Run every job that is missing or unfinished, and show how all of them ended.

    The overrides are the command line's; ``resume=SWEEP`` goes on with one. `hydra_main` is Hydra's
    entry, which reads `sys.argv`; `search_path` knows `config_dir` already.

    Returns:
        (the sweep, whether every job has finished).

    Raises:
        UserError: bad input, before anything is written; or another process at work on the sweep.
    """
    folder, changes = launch.split_resume(overrides)
    if folder is None:
        plan = start.new(changes, config_name)
        sweep = Sweep(reserve(Path(plan.shared.hydra.sweep.dir)))
    elif (sweep := Sweep(folder)).exists:
        plan = start.resumed(sweep, changes, config_name)
    else:
        raise UserError(
            f"resume={folder}: expected a sweep's folder, with {FILE}, or no --multirun"
        )
    again = [text for text in plan.command if start.SEARCHPATH in text.partition("=")[0]]
    again += [f"--config-dir={Path(config_dir).absolute()}"] if config_dir else []
    again += [f"--config-name={config_name}"] if config_name != PRIMARY else []
    if "optuna" in plan.shared.hydra.sweeper._target_:
        importlib.import_module("optuna").logging.set_verbosity(logging.WARNING)
    with sweep.lock():
        sweep.update(command=plan.saved, planned=plan.planned, config_name=config_name)
        for job, config in plan.moved:
            job.write_config(config)
        sys.argv = [sys.argv[0], "--multirun", *plan.arguments(sweep.path)]
        try:
            # Hydra has said why it exits: a process of a launcher died, say.
            with contextlib.suppress(SystemExit):
                hydra_main()
        except KeyboardInterrupt as stop:
            stop.add_note(to_go_on(sweep.path, *again))
            raise
        finally:
            jobs = sweep.update()
            text = closing(sweep.path, jobs, plan.planned, plan.shared.monitor, again)
            print(text, file=sys.stderr)
    return sweep, sum(job.state == "finished" for job in jobs) == len(jobs) == plan.planned


def is_resume(overrides: Sequence[str]) -> bool:
    """Whether a command goes on with a sweep."""
    folder, _ = launch.split_resume(overrides)
    return folder is not None and Sweep(folder).exists


def closing(
    folder: Path, jobs: Sequence[Record], planned: int, monitor: str, again: Sequence[str] = ()
) -> str:
    """How a sweep's jobs ended: the tables of ``ctxenc.compare``, and the commands to go on with.

    Of the `planned` jobs, `jobs` have begun. They are ranked by the metric `monitor`, among those
    that were tested on the same images and masks. `again` is what else a command that resumes the
    sweep must have.
    """
    finished, failed = (sum(job.state == s for job in jobs) for s in ("finished", "failed"))
    lines = [f"{finished} of {planned} jobs finished" + (f", {failed} failed" * bool(failed))]
    if finished < planned:
        lines.append(to_go_on(folder, *again))
    if not jobs:
        return "\n".join(lines)
    lines.append(f"to compare them:          python -m ctxenc.compare {shlex.quote(str(folder))}")
    compared = sections.compare(jobs, sort=monitor, group_by=())
    tables = comparison_table.tables(compared, monitor=monitor)
    means = sections.compare(jobs, sort=monitor)
    if any(section.by for section in means.sections):
        count = len(compared.sections)
        tables[count:count] = comparison_table.tables(means, monitor=monitor)[:count]
    return "\n".join([render(tables, "table"), "", *lines])
