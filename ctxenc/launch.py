"""Starting and resuming runs, from the command line and from Python alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from ctxenc import schedules
from ctxenc.config.checks import check
from ctxenc.config.compose import compose, parse
from ctxenc.config.schema import Config
from ctxenc.errors import UserError
from ctxenc.parallel import processes
from ctxenc.plan import Plan
from ctxenc.runs.checkpoints import saved_steps
from ctxenc.runs.folder import Run
from ctxenc.runs.new_folder import check_path, reserve
from ctxenc.runtime import compilation_cache, memory
from ctxenc.training import train

CHANGED_BY_RESUME = ("n_epoch", "max_steps")
OF_A_SITTING = ("distributed", "resume_step")  # how to go on, which is no part of the run


def run(*overrides: str) -> Run:
    """Train a run and return it: what ``python -m ctxenc.train`` does, from a notebook.

    Args:
        overrides: as on the command line: ``run("mask=random", "lambda_adv=1e-3")``, or
            ``run("resume=experiments/…")``.

    Raises:
        UserError: bad input, before anything is written.
    """
    folder, rest = split_resume(overrides)
    if folder is not None:
        return resume(folder, rest)
    composed = compose(rest, with_hydra=True)
    wanted = Path(composed.hydra.run.dir)
    with open_dict(composed):
        del composed["hydra"]
    ready = plan(composed)

    def begin() -> Path:
        new = Run(reserve_for(ready.config, wanted))
        new.write_config(composed, rest)
        return new.path

    begun = Run(processes.first(begin))
    train(ready, begun)
    return begun


def resume(path: str, changes: Sequence[str] = ()) -> Run:
    """Go on with a run in its own folder, from its latest checkpoint or that of `resume_step`.

    Args:
        path: the run folder.
        changes: overrides of `n_epoch` or `max_steps`, to go further than the run was to go; of
            `resume_step`, and of `distributed`, which need not be as it was.

    Raises:
        UserError: not a run folder, no whole checkpoint, or a change of anything else.
    """
    begun = Run(Path(path).expanduser())
    try:
        composed = begun.config
    except UserError as error:
        raise UserError(f"resume={path}: {error}") from None
    sitting: dict[str, Any] = {
        "resume": str(begun.path),
        "resume_step": None,
        "distributed": False,
    }
    for override in parse(changes):
        key = override.key_or_group
        if key in OF_A_SITTING and not override.is_sweep_override():
            sitting[key] = override.value()
            continue
        if key not in CHANGED_BY_RESUME or override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: resume goes on with the run's own configuration; "
                f"only {' and '.join(CHANGED_BY_RESUME)} can be changed with it"
            )
        composed[key] = override.value()
        if key == "n_epoch" and composed.max_steps is not None:
            raise UserError(f"{override.input_line}: max_steps={composed.max_steps} decides here")
    resumed = composed.copy()
    resumed.update(sitting)
    ready = plan(resumed)
    if any(o.key_or_group in CHANGED_BY_RESUME for o in parse(changes)):
        check_extends(ready)
    step = ready.config.resume_step or max(saved_steps(begun.checkpoints), default=0)
    if step > ready.schedule.total:
        raise UserError(f"{' '.join(changes)}: the run has taken {step} steps already")
    train(ready, begun, composed if changes else None)
    return begun


def check_extends(longer: Plan) -> None:
    """Refuse to make a run longer whose learning rates are a function of its length."""
    if longer.model.schedule is not schedules.constant:
        raise UserError(
            "n_epoch, max_steps: this run's schedule ends where the run was to end; a longer one "
            "is another run"
        )


def has_checkpoint(run: Run) -> bool:
    """Whether a run has a checkpoint to go on from."""
    there = (run.path / ".hydra" / "config.yaml").exists()
    return there and bool(saved_steps(run.checkpoints))


def plan(composed: DictConfig) -> Plan:
    """The composed configuration checked and made ready to run, in a process set up for it."""
    config = check(composed)
    compilation_cache.keep_programs()
    if config.distributed:
        processes.join()  # before JAX computes anything
    memory.keep_memory()
    return processes.together(lambda: Plan.of(config))


def split_resume(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """(the folder of ``resume=…``, the other overrides).

    The folder is taken as it stands, whatever Hydra's grammar would make of its name: those of a
    sweep's jobs have equals signs and commas.
    """
    paths = [o.removeprefix("resume=") for o in overrides if o.startswith("resume=")]
    rest = [o for o in overrides if not o.startswith("resume=")]
    path = paths[-1] if paths else ""
    return (None if path in ("", "null") else path), rest


def reserve_for(config: Config, wanted: Path) -> Path:
    """A new run folder, once the folders that its keys name are known to be free."""
    for key in ("samples_dir", "save_dir"):
        folder = Path(getattr(config, key)).expanduser()
        check_path(folder)
        if folder.is_absolute() and folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{key}={folder}: it takes a new or empty folder, and this one is not")
    return reserve(wanted)
