"""Several runs of one command: each in its own folder, a failure never stopping the others."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Column, Table

from ctxenc import launch
from ctxenc.checkpoints import BEST_BY
from ctxenc.compose import compose, parse, single_runs, with_absolute_paths
from ctxenc.errors import UserError
from ctxenc.runs import Run, reserve
from ctxenc.training import train

log = logging.getLogger(__name__)


def prepare(overrides: Sequence[str]) -> tuple[Path, list[str]]:
    """A new folder for a sweep, once each of its values has been checked.

    Returns:
        (the folder, Hydra's overrides for it: jobs are named by what they differ in).

    Raises:
        UserError: one of the values is bad; nothing has been written.
    """
    if launch.split_resume(overrides)[0] is not None:
        raise UserError("resume: it goes on with one run; leave out --multirun")
    for single in single_runs(overrides):
        config = launch.plan(compose(single)).config
        for key in ("samples_dir", "save_dir"):
            if Path(getattr(config, key)).expanduser().is_absolute():
                value = getattr(config, key)
                raise UserError(
                    f"{key}={value}: the runs of a sweep would share it; it takes a name"
                )
    composed = compose(single_runs(overrides)[0], with_hydra=True)
    folder = reserve(Path(composed.hydra.sweep.dir))
    escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    same = ",".join(o.get_key_element() for o in parse(overrides) if not o.is_sweep_override())
    return folder, [
        f"hydra.sweep.dir='{escaped}'",
        f"hydra.job.config.override_dirname.exclude_keys=[{same}]",
    ]


def job(composed: DictConfig, run: Run) -> None:
    """Train one job; what goes wrong is in its status and log, and the sweep goes on."""
    print(f"{run.path.name}", file=sys.stderr)
    try:
        composed = with_absolute_paths(composed)
        ready = launch.plan(composed)
        run.write_config(composed)
        train(ready, run)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        if run.state is None:  # it failed before training could say so
            run.write_status("failed", step=0, seconds=0.0, error=message)
        print(f"{run.path.name}: {message}", file=sys.stderr)


def close(folder: Path) -> list[Run]:
    """Show how the jobs ended, and return those that did not finish.

    Best first among those tested on the same images and masks; others are in a part of their own.
    """
    runs = [Run(path) for path in folder.iterdir() if path.is_dir()]
    table = Table(
        Column("run", overflow="fold"),
        "status",
        "step",
        "test PSNR (dB)",
        "SSIM",
        "L1 %",
        title=str(folder),
    )
    ranked = sorted(runs, key=_score, reverse=True)
    for part in dict.fromkeys(map(_tested_on, ranked)):
        for run in (run for run in ranked if _tested_on(run) == part):
            last = run.summary["last"] if run.state == "finished" else {}
            cells = [f"{last[k]:.3f}" if k in last else "" for k in (BEST_BY, "ssim", "l1_percent")]
            table.add_row(run.path.name, run.state, str(run.status["step"]), *cells)
        table.add_section()
    Console(stderr=True).print(table)
    return [run for run in runs if run.state != "finished"]


def _tested_on(run: Run) -> tuple[str, ...]:
    if run.state != "finished":
        return ()
    return run.dataset["mask_hash"], run.dataset["test_fingerprint"]


def _score(run: Run) -> float:
    return run.summary["last"][BEST_BY] if run.state == "finished" else -float("inf")
