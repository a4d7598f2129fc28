"""Starting and resuming runs, from the command line and from Python alike."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, open_dict

from ctxenc import compilation
from ctxenc.compose import compose, parse
from ctxenc.config import Config, check
from ctxenc.errors import UserError
from ctxenc.plan import Plan
from ctxenc.runs import Run, reserve
from ctxenc.training import train

CHANGED_BY_RESUME = ("n_epoch", "max_steps")


def run(*overrides: str) -> Run:
    """Train a run and return it: what ``python -m ctxenc.train`` does, from a notebook.

    Args:
        overrides: as on the command line: ``run("mask=random", "lambda_adv=1e-3")``, or
            ``run("resume=experiments/…")``.

    Raises:
        UserError: bad input, before anything is written.
    """
    if (folder := resumed(overrides)) is not None:
        return resume(folder, [o for o in overrides if not o.startswith("resume=")])
    composed = compose(overrides, with_hydra=True)
    wanted = Path(composed.hydra.run.dir)
    with open_dict(composed):
        del composed["hydra"]
    ready = plan(composed)
    begun = Run(reserve_for(ready.config, wanted))
    begun.write_config(composed, list(overrides))
    train(ready, begun)
    return begun


def start(composed: DictConfig, begun: Run) -> Run:
    """Train the composed configuration in a folder that is its own."""
    train(plan(composed), begun)
    return begun


def resume(path: str, changes: Sequence[str] = ()) -> Run:
    """Go on with a run in its own folder, from its latest checkpoint.

    Args:
        path: the run folder.
        changes: overrides of `n_epoch` or `max_steps`, to go further than the run was to go.

    Raises:
        UserError: not a run folder, no whole checkpoint, or a change of anything else.
    """
    begun = Run(Path(path).expanduser())
    try:
        composed = begun.config
    except UserError as error:
        raise UserError(f"resume={path}: {error}") from None
    for override in parse(changes):
        if override.key_or_group not in CHANGED_BY_RESUME:
            raise UserError(
                f"{override.input_line}: resume goes on with the run's own configuration; "
                f"only {' and '.join(CHANGED_BY_RESUME)} can be changed with it"
            )
        composed[override.key_or_group] = override.value()
    composed["resume"] = str(begun.path)
    ready = plan(composed)
    if changes:
        composed["resume"] = None
        begun.write_config(composed)
    train(ready, begun)
    return begun


def plan(composed: DictConfig) -> Plan:
    """The composed configuration checked and made ready; the compilation cache is on from here."""
    compilation.keep_programs()
    return Plan.of(check(composed))


def resumed(overrides: Sequence[str]) -> str | None:
    """The folder of a ``resume=…`` among the overrides."""
    values = [o.value() for o in parse(overrides) if o.key_or_group == "resume"]
    return None if not values or values[-1] is None else str(values[-1])


def reserve_for(config: Config, wanted: Path) -> Path:
    """A new run folder, once the folders that its keys name are known to be free."""
    for key in ("samples_dir", "save_dir"):
        folder = Path(getattr(config, key)).expanduser()
        if folder.is_absolute() and folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{key}={folder}: it takes a new or empty folder, and this one is not")
    return reserve(wanted)
