"""The plan of a sweep: checked before anything is written, and made ready for Hydra."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from ctxenc import launch
from ctxenc.config import schema
from ctxenc.config.checks import compatible
from ctxenc.config.compose import as_typed, check_length, compose, parse, quoted
from ctxenc.config.schema import PRIMARY
from ctxenc.errors import UserError
from ctxenc.experiment import data_of
from ctxenc.metrics.registry import METRICS
from ctxenc.paths import expanded
from ctxenc.run_folder.folder import VALIDATED, Run
from ctxenc.sweeps import gpu_assignment, overrides
from ctxenc.sweeps.folder import FILE, Sweep

EXTRA = re.compile(r"hydra/(?:launcher|sweeper)=(joblib|submitit|ray|optuna)(?![a-z])")
LAUNCHER = re.compile(r"hydra/launcher$|hydra\.launcher\.")
SEARCHPATH, TRIALS = "hydra.searchpath", "hydra.sweeper.n_trials"
PARAMS = re.compile(r"^\+{0,2}hydra\.sweeper\.params\.")
NOT_SAVED = (SEARCHPATH, "hydra.sweep.dir", "hydra.sweeper.params")


@dataclass(frozen=True)
class Plan:
    """A sweep whose values have been checked.

    `command` are its overrides, those of ``hydra.sweeper.params`` among them; `config_name` is the
    file to begin with; `shared` is what the jobs' configurations have in common, and Hydra's;
    `moved` are jobs that have begun, with configurations that say where folders are now.
    """

    command: list[str]
    config_name: str
    shared: DictConfig
    moved: list[tuple[Run, DictConfig]] = field(default_factory=list)

    @property
    def saved(self) -> list[str]:
        """The overrides that mean the same jobs again; no folder of configurations is trusted."""
        return [t for t in self.command if not overrides.key_of(t).startswith(NOT_SAVED)]

    @property
    def planned(self) -> int:
        """How many jobs there will be."""
        if not _is_grid(self.shared):
            return int(self.shared.hydra.sweeper.get("n_trials", 0))
        return _combinations(self.command)

    def arguments(self, folder: Path) -> list[str]:
        """What Hydra is started with: jobs are named by what they differ in."""
        same = [o.key_or_group for o in parse(self.command) if not o.is_sweep_override()]
        params = self.shared.hydra.sweeper.get("params")  # they are in the command
        return [
            *(f"--config-name={self.config_name}", *self.command),
            *(["hydra.sweeper.params=null"] if params else []),
            f"hydra.sweep.dir={quoted(str(folder))}",
            f"hydra.job.config.override_dirname.exclude_keys=[{','.join(same)}]",
        ]


def new(given: Sequence[str], config_name: str = PRIMARY) -> Plan:
    """A new sweep: of the overrides, and of ``hydra.sweeper.params`` in the configuration.

    Raises:
        UserError: one of the values is bad.
    """
    given = [PARAMS.sub("", text) for text in given]  # typed, they are overrides like any other
    if "hydra.sweep.subdir" in map(overrides.key_of, given):
        raise UserError("hydra.sweep.subdir: jobs are named by their numbers and overrides")
    shared = _compose(given, config_name)
    params = shared.hydra.sweeper.get("params") or {}
    command = [*(f"{key}={value}" for key, value in params.items()), *given]
    command = as_typed(command, config_name=config_name)
    # Values may be shuffled, or files that come and go; a search has ranges.
    return _checked(overrides.settled(command, listed=_is_grid(shared)), config_name)


def resumed(sweep: Sweep, changes: Sequence[str], config_name: str = PRIMARY) -> Plan:
    """A sweep to resume; `changes` may be of its launcher, number of trials and searchpath.

    They may also say where folders are that have moved, if no jobs differ in these.

    Raises:
        UserError: it cannot be read, asks for what only a command line may ask for, began with
            another configuration file, or would change otherwise; a folder with other data.
    """
    if config_name != sweep.config_name:
        raise UserError(
            f"--config-name={config_name}: expected {sweep.config_name}, as this sweep was started"
        )
    command = sweep.command
    for text in command:
        overrides.check_saved(text, sweep.path / FILE)
    if sweep.format < VALIDATED:
        raise UserError(
            f"resume={sweep.path}: its runs have no validation split, as none had before format "
            f"{VALIDATED}, and more jobs would not compare with them; expected a new sweep"
        )
    changed = [overrides.key_of(text) for text in changes]
    moved = [key for key in changed if "." in key and overrides.leads_to_files(key)]
    for key in changed:
        if not LAUNCHER.match(key) and key not in (TRIALS, SEARCHPATH, *moved):
            raise UserError(
                f"{key}: a sweep goes on as it was started; only hydra/launcher, hydra.launcher.…, "
                f"{TRIALS} and where folders are now can be changed with resume"
            )
    for override in parse([*command, *changes]):
        if override.is_sweep_override() and overrides.key_of(str(override.input_line)) in moved:
            raise UserError(f"{override.input_line}: what jobs differ in cannot have moved")
    kept = [text for text in command if overrides.key_of(text) not in changed]
    if "hydra/launcher" in changed:  # then nothing of the old one holds
        kept = [text for text in kept if not LAUNCHER.match(overrides.key_of(text))]
    hint = f"; if the sweep was started with --config-dir or {SEARCHPATH}, give it again"
    command = overrides.settled(as_typed([*kept, *changes], config_name=config_name), listed=False)
    plan = _checked(command, config_name, hint, begun=True)
    if moved:
        _move(sweep, plan, [t for t in plan.command if overrides.key_of(t) in moved])
    return plan


def _move(sweep: Sweep, plan: Plan, folders: Sequence[str]) -> None:
    """Have the jobs that have begun say where folders are, which must hold the same data."""
    seen: list[dict[str, Any]] = []
    for run in map(Run, sorted(sweep.path.iterdir())):
        if launch.has_checkpoint(run):
            plan.moved.append((run, config := run.config))
            for override in parse(folders):
                OmegaConf.update(config, override.key_or_group, override.value())
            if run.dataset not in seen:
                resumed = compatible(config, run.path)
                resumed.resume = str(run.path)
                data_of(launch.prepare(resumed), run)
                seen.append(run.dataset)


def _checked(command: list[str], config_name: str, hint: str = "", *, begun: bool = False) -> Plan:
    """The sweep, once what would fail later has been refused."""
    try:
        shared = _compose(command, config_name)
        if _is_grid(shared) and (jobs := _combinations(command)) > overrides.MOST_VALUES:
            raise UserError(f"{jobs} jobs: expected at most {overrides.MOST_VALUES}")
        singles = list(_singles(command, config_name))
    except UserError as error:
        raise UserError(f"{error}{hint}") from None
    if "basic" not in shared.hydra.launcher._target_:
        jax.config.update("jax_platforms", "cpu")  # the GPUs' memory is the jobs'
    for override in parse(command):
        line = override.input_line
        if override.is_interval_sweep() and _is_grid(shared):
            raise UserError(f"{line}: an interval needs a search: hydra/sweeper=optuna")
        if override.is_sweep_override() and override.is_hydra_override():
            raise UserError(f"{line}: expected one value; Hydra's own keys cannot be swept")
    for composed in singles:
        if not begun:
            check_length(composed, command)
        if composed.get("distributed"):
            raise UserError(
                "distributed=true: a sweep's jobs are one process each; start the processes of one "
                "run without --multirun"
            )
        if begun:
            composed.init_from = None  # jobs with a checkpoint need it no more; the others will say
        config = launch.prepare(composed).config
        for key in ("samples_dir", "save_dir"):
            if expanded(value := getattr(config, key)).is_absolute():
                raise UserError(
                    f"{key}={value}: expected a relative folder, as all runs would share this one"
                )
    if OmegaConf.is_missing(shared.hydra.launcher, "n_jobs"):
        command.append(f"hydra.launcher.n_jobs={gpu_assignment.jobs_at_once()}")
    if OmegaConf.is_missing(shared.hydra.sweeper, "direction"):
        higher = METRICS[shared.monitor].better == "higher"
        command.append(f"hydra.sweeper.direction={'maximize' if higher else 'minimize'}")
    return Plan(command, config_name, shared)


def _singles(command: Sequence[str], config_name: str) -> Iterator[DictConfig]:
    """The configurations of runs that together try each value once.

    Those that differ in a number of the step's, or in the seed, are copies: composing takes long.
    """
    first, *others = overrides.single_runs(command)
    yield (composed := compose(first, config_name=config_name))
    numbers = (*schema.traced(), "seed")
    for run in others:
        for changed in parse([text for text in run if text not in first]):
            if changed.get_key_element() in numbers and not changed.is_sweep_override():
                copy = composed.copy()
                copy[changed.key_or_group] = changed.value()
                yield copy
            else:
                yield compose(run, config_name=config_name)


def _compose(given: Sequence[str], config_name: str) -> DictConfig:
    """What all jobs have in common, with Hydra's own keys and our defaults of the plugins'."""
    plugins = ConfigStore.instance().repo["hydra"]
    if joblib := plugins["launcher"].get("joblib.yaml"):
        joblib.node.n_jobs = MISSING  # counted once it is known to be used
    if optuna := plugins["sweeper"].get("optuna.yaml"):
        optuna.node.direction = MISSING  # `monitor` says it
        optuna.node.n_jobs = 1  # each proposal knows all results before it
        optuna.node.max_failure_rate = 1.0  # a failed job stops no search
        for sampler in plugins["sweeper"]["sampler"].values():
            if "seed" in sampler.node:
                sampler.node.seed = 0  # the same proposals when it is resumed
    try:
        fixed = [str(o.input_line) for o in parse(given) if not o.is_sweep_override()]
        return compose(fixed, with_hydra=True, config_name=config_name)
    except UserError as error:
        if not (extra := EXTRA.match(str(error))):
            raise
        hint = f"it comes with an extra: pip install 'ctxenc[{extra[1]}]'"
        raise UserError(f"{error}; {hint}") from None


def _combinations(command: Sequence[str]) -> int:
    return math.prod(len(overrides.values(override)) for override in parse(command))


def _is_grid(shared: DictConfig) -> bool:
    """Whether the jobs are all combinations, and not what a search proposes."""
    return "basic_sweeper" in shared.hydra.sweeper._target_
