"""Starting and resuming runs, from the command line and from Python alike."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ctxenc import optim, runtime
from ctxenc.config import build, schema, search_path
from ctxenc.config.checks import check, compatible
from ctxenc.config.compose import (
    absolute,
    as_typed,
    check_length,
    compose,
    folder_keys,
    parse,
    quoted,
)
from ctxenc.config.schema import PRIMARY, Config
from ctxenc.errors import UserError
from ctxenc.experiment import Experiment, train
from ctxenc.parallel import processes
from ctxenc.paths import expanded
from ctxenc.run_folder.checkpoints import saved_steps
from ctxenc.run_folder.folder import VALIDATED, Run
from ctxenc.run_folder.new import check_path, reserve
from ctxenc.run_folder.session import to_go_on
from ctxenc.warm_start import located

log = logging.getLogger(__name__)


def run(*overrides: str, config_dir: str | Path | None = None, config_name: str = PRIMARY) -> Run:
    """Train a run and return it: what ``python -m ctxenc.train`` does, from a notebook.

    Args:
        overrides: as on the command line: ``run("mask=random", "lambda_adv=1e-3")``, or
            ``run("resume=experiments/…")``.
        config_dir: a folder of your own configuration files, searched beside ctxenc's.
        config_name: the file to begin with, in place of ``train``.

    Raises:
        UserError: bad input, before anything is written.
    """
    search_path.add(config_dir)
    folder, rest = split_resume(overrides)
    if folder is not None:
        return resume(folder, rest)
    composed = compose(rest, with_hydra=True, config_name=config_name)
    check_length(composed, rest)
    wanted = Path(composed.hydra.run.dir)
    level = logging.DEBUG if composed.hydra.verbose else logging.NOTSET
    logging.getLogger("ctxenc").setLevel(level)
    with open_dict(composed):
        del composed["hydra"]
    build.reread(composed)
    ready = prepare(composed)

    new_run = Run(processes.first(lambda: reserve_for(ready.config, wanted)))
    try:
        processes.first(lambda: new_run.write_config(composed, rest, config_name))
        train(ready, new_run)
    except KeyboardInterrupt as stop:
        if new_run.state is None:  # before its session, which says so by itself
            new_run.write_config(composed, rest, config_name)
            new_run.write_status("interrupted", step=0, seconds=0.0, error=str(stop) or "SIGINT")
            stop.add_note(to_go_on(new_run.path))
        raise
    return new_run


def resume(path: str, changes: Sequence[str] = ()) -> Run:
    """Go on with a run in its own folder, from its latest checkpoint or that of `resume_step`.

    One that was killed before its first checkpoint begins anew, as it was started.

    Args:
        path: the run folder.
        changes: overrides of the keys that make a run longer, of those that say how this process
            goes on, of the tracker, and of folders that have moved (`ctxenc.config.schema`:
            `on_resume`, `folders`).

    Raises:
        UserError: not a run folder, no whole checkpoint, or a change of anything else.
    """
    old_run = Run(expanded(path))
    try:
        saved = old_run.config
        resumed, anew = compatible(saved, old_run.path), _nothing_saved(old_run)
        trained_on = {} if anew else old_run.dataset
    except UserError as error:
        raise UserError(f"resume={path}: {error}") from None
    if "test_fingerprint" in trained_on:
        raise UserError(
            f"resume={path}: trained without a validation split, as runs were before format "
            f"{VALIDATED}; init_from={path} begins a new run with its weights"
        )
    allowed = schema.keys(lambda key: key.on_resume)
    extends = [name for name, key in allowed.items() if key.on_resume == "extends"]
    lasting = [name for name, key in allowed.items() if key.on_resume == "saved"]
    for name in allowed.keys() - {*extends, *lasting}:  # these were about another process
        resumed[name] = schema.fields()[name].default
    resumed.resume = None if anew else str(old_run.path)
    longer = False
    given = sorted(parse(as_typed(changes, saved)), key=lambda o: o.key_or_group not in lasting)
    for override in given:  # the choices of groups before their options
        name, value, movable = override.key_or_group, override.value(), folder_keys(resumed)
        of_lasting = name.partition(".")[0] in lasting
        one_value = not (override.is_sweep_override() or override.is_delete())
        if not one_value or not (of_lasting or name in (*allowed, *movable)):
            folders = f", and the folders of {' and '.join(movable)}," if movable else ""
            raise UserError(
                f"{override.input_line}: resume continues the run's own configuration; only "
                f"{', '.join(allowed)}{folders} can be changed with it"
            )
        new: Any = absolute(str(value), name) if name in movable and value is not None else value
        if name in lasting:
            new = OmegaConf.to_container(compose([str(override.input_line)])[name])
        OmegaConf.update(resumed, name, new, merge=False)
        if of_lasting or name in (*extends, *movable):
            OmegaConf.update(saved, name, new, merge=False)
        longer = longer or name in extends
    for override in given:
        if override.key_or_group == "n_epoch" and resumed.max_steps is not None:
            raise UserError(f"{override.input_line}: max_steps={resumed.max_steps} decides here")
    build.reread(resumed)
    ready = prepare(resumed)
    if longer and ready.model.schedule is not optim.constant:
        raise UserError(
            "n_epoch, max_steps: this run's schedule ends where the run was to end; a longer one "
            "is another run"
        )
    step = ready.config.resume_step or max(saved_steps(old_run.checkpoints), default=0)
    if step > ready.intervals.total_steps:
        raise UserError(f"{' '.join(changes)}: the run has taken {step} steps already")
    if anew:
        log.warning("%s: nothing was saved before; the run begins anew", old_run.path)
    train(ready, old_run, saved if changes else None)
    return old_run


def _nothing_saved(run: Run) -> bool:
    """Whether a run ended before its first checkpoint.

    A validation's line is written just before its checkpoint: where there are two, the first's
    checkpoint was saved. Such a run, its checkpoints gone, is not begun anew.
    """
    began = run.state != "finished" and len(run.lines("validation")) < 2
    return began and not saved_steps(run.checkpoints)


def has_checkpoint(run: Run) -> bool:
    """Whether a run has a checkpoint to go on from."""
    there = (run.path / ".hydra" / "config.yaml").exists()
    return there and bool(saved_steps(run.checkpoints))


def prepare(composed: DictConfig) -> Experiment:
    """The experiment of a composed configuration, which is checked; the process is set up for it.

    What is decided here is written into `composed`, so that the saved file means the same run
    again: the step of `init_from` that was read, the precision that ``auto`` stands for, and sizes
    that were made smaller for a small data set.
    """
    config = check(composed)
    runtime.check_settings()
    runtime.keep_programs()
    if config.distributed:
        processes.join()  # before JAX computes anything
    runtime.keep_memory()
    runtime.platform()  # a UserError where there is none
    ready = processes.together(lambda: Experiment.of(config))
    for name in ("batch_size", "num_img"):
        composed[name] = getattr(ready.config, name)
    composed.precision = build.precision(config)
    if ready.warm_start is not None:
        composed.init_from = ready.warm_start.source
    return ready


def split_resume(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """(the folder of ``resume=…`` or None, the other overrides).

    Quotes are put around what ``init_from=…`` names.

    Folders are taken as they stand, whatever Hydra's grammar would make of their names: those of a
    sweep's jobs have equals signs and commas.
    """
    paths = [o.removeprefix("resume=") for o in overrides if o.startswith("resume=")]
    rest = [_quoted(o) for o in overrides if not o.startswith("resume=")]
    path = paths[-1] if paths else ""
    if paths and not path:
        raise UserError("resume=: empty; expected a run folder or null")
    return (None if path in ("", "null") else path), rest


def _quoted(override: str) -> str:
    """``init_from=…`` with folders in quotes, one or with commas between; others as they are."""
    key, _, text = override.partition("=")
    if key != "init_from" or not text:
        return override
    if not (folders := _folders(text.split(","))):
        with contextlib.suppress(UserError):
            parse([override])
            return override  # in Hydra's own grammar
    values = (f if f == "null" else quoted(absolute(f, key)) for f in folders or [text])
    return f"{key}={','.join(values)}"


def _folders(parts: list[str]) -> list[str]:
    """The folders that a text names which was split at its commas; their names may have commas."""
    for count in range(len(parts), 0, -1):
        text, others = ",".join(parts[:count]), parts[count:]
        if text == "null" or located(text)[0].is_dir():
            if not others:
                return [text]
            if rest := _folders(others):
                return [text, *rest]
    return []


def reserve_for(config: Config, wanted: Path) -> Path:
    """A new run folder, once the folders that its keys name are known to be free."""
    for key in ("samples_dir", "save_dir"):
        folder = expanded(getattr(config, key))
        check_path(folder)
        if folder.is_absolute() and folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{key}={folder}: not empty; expected a new or empty folder")
    return reserve(wanted)
