"""What a sweep is asked for, checked before anything is written, and made ready for Hydra."""

import importlib.util
import math
import re
from collections.abc import Sequence
from pathlib import Path

import jax
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from ctxenc import launch
from ctxenc.config import references, schema
from ctxenc.config.compose import compose, parse
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS
from ctxenc.runs.new_folder import reserve
from ctxenc.sweeps import gpu_assignment
from ctxenc.sweeps.folder import FILE, Sweep
from ctxenc.sweeps.overrides import listed, single_runs, with_absolute_values

PLUGINS = {  # a launcher's or sweeper's choice: (the extra that brings it, its module)
    "joblib": ("joblib", "hydra_joblib_launcher"),
    "submitit_local": ("submitit", "hydra_submitit_launcher"),
    "submitit_slurm": ("submitit", "hydra_submitit_launcher"),
    "ray": ("ray", "hydra_ray_launcher"),
    "optuna": ("optuna", "hydra_optuna_sweeper"),
}
OURS = ("hydra.sweep.dir", "hydra.sweep.subdir")  # decided here
TAKEN_FROM_A_FOLDER = {  # Hydra's own keys that a stranger's sweep.json may set: numbers and names
    *("hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler"),
    *("hydra.sweeper.n_trials", "hydra.sweeper.n_jobs", "hydra.sweeper.direction"),
    *("hydra.sweeper.sampler.seed", "hydra.sweeper.max_failure_rate"),
    *("hydra.launcher.n_jobs", "hydra.launcher.timeout_min", "hydra.launcher.cpus_per_task"),
    *("hydra.launcher.gpus_per_node", "hydra.launcher.mem_gb", "hydra.launcher.nodes"),
    *("hydra.launcher.partition", "hydra.launcher.qos", "hydra.launcher.account"),
    *("hydra.launcher.gres", "hydra.launcher.constraint", "hydra.launcher.max_num_timeout"),
    *("hydra.launcher.array_parallelism", "hydra.launcher.ray.remote.num_cpus"),
    "hydra.launcher.ray.remote.num_gpus",
}
NAMES = re.compile(r"""[\w\s,()\[\]*'"-]*""")  # choices, and no path to a file elsewhere


def begin(overrides: Sequence[str]) -> tuple[Sweep, list[str]]:
    """A new sweep's folder, once each of its values has been checked.

    Returns:
        (the folder, what Hydra is to be started with).

    Raises:
        UserError: one of the values is bad; nothing has been written.
    """
    if launch.split_resume(overrides)[0] is not None:
        raise UserError("resume: it goes on with what is there; leave out --multirun")
    if "hydra.sweep.subdir" in _keys(overrides):
        raise UserError("hydra.sweep.subdir: jobs are named by their numbers and overrides")
    _check_plugins(overrides)
    composed = compose(single_runs(overrides)[0], with_hydra=True)
    command = _settled(overrides, composed)
    _check(command, composed)
    sweep = Sweep(reserve(Path(composed.hydra.sweep.dir)))
    sweep.begin(command, _planned(command, composed))
    return sweep, _arguments(sweep, command)


def take_up(path: str, changes: Sequence[str]) -> tuple[Sweep, list[str]]:
    """A sweep to go on with.

    Args:
        path: its folder.
        changes: overrides of the launcher, or of a search's ``hydra.sweeper.n_trials``.

    Raises:
        UserError: it cannot be read, or a change of anything else; nothing has been written.
    """
    sweep = Sweep(Path(path).expanduser())
    command = sweep.command
    for text in command:
        _check_safe(text, sweep)
    changed = set(_keys(changes))
    for key in changed:
        if not _is_of_launcher(key) and key != "hydra.sweeper.n_trials":
            raise UserError(
                f"{key}: a sweep goes on as it was started; only hydra/launcher, hydra.launcher.… "
                "and hydra.sweeper.n_trials can be changed with resume"
            )
    other = "hydra/launcher" in changed  # then nothing of the old one holds
    kept = [
        text
        for text, key in zip(command, _keys(command), strict=True)
        if key not in changed and not (other and _is_of_launcher(key))
    ]
    command = [*kept, *changes]
    _check_plugins(command)
    composed = compose(single_runs(command)[0], with_hydra=True)
    _check(command, composed)
    sweep.begin(command, _planned(command, composed))
    return sweep, _arguments(sweep, command)


def _settled(overrides: Sequence[str], composed: DictConfig) -> list[str]:
    """The overrides as they will mean the same jobs again, from any folder."""
    keys = _keys(overrides)
    texts = [
        with_absolute_values(text)
        for text, key in zip(overrides, keys, strict=True)
        if key not in OURS
    ]
    if _sweeper(composed) == "basic":  # values may be shuffled, or files that come and go
        texts = [listed(text) for text in texts]
    defaults = _defaults(composed).items()
    return [*texts, *(f"{key}={value}" for key, value in defaults if key not in keys)]


def _defaults(composed: DictConfig) -> dict[str, object]:
    """What launchers and sweepers do where a command does not say."""
    found: dict[str, object] = {}
    if _launcher(composed) == "joblib":
        found["hydra.launcher.n_jobs"] = gpu_assignment.jobs_at_once()
    if _sweeper(composed) == "optuna":
        up = METRICS[composed.monitor].better == "higher"
        found["hydra.sweeper.direction"] = "maximize" if up else "minimize"
        found["hydra.sweeper.n_jobs"] = 1  # each proposal knows all results before it
        found["hydra.sweeper.max_failure_rate"] = 1.0  # a failed job stops no search
        if "seed" in composed.hydra.sweeper.sampler:
            found["hydra.sweeper.sampler.seed"] = 0  # the same proposals when it is taken up
    return found


def _check(overrides: Sequence[str], composed: DictConfig) -> None:
    if _launcher(composed) != "basic":
        jax.config.update("jax_platforms", "cpu")  # the GPUs' memory is the jobs'
    if _sweeper(composed) == "basic":
        for override in parse(overrides):
            if override.is_interval_sweep():
                raise UserError(
                    f"{override.input_line}: an interval takes a search: hydra/sweeper=optuna"
                )
    for single in single_runs(overrides):
        single_run = compose(single)
        if single_run.get("distributed"):
            raise UserError(
                "distributed=true: a sweep's jobs are one process each; start the processes of one "
                "run without --multirun"
            )
        config = launch.prepare(single_run).config
        for key in ("samples_dir", "save_dir"):
            if Path(value := getattr(config, key)).expanduser().is_absolute():
                raise UserError(
                    f"{key}={value}: the runs of a sweep would share it; it takes a name"
                )


def _check_plugins(overrides: Sequence[str]) -> None:
    """Refuse launchers and sweepers that are not installed, naming the extra that brings them."""
    for override in parse(overrides):
        if override.key_or_group in ("hydra/launcher", "hydra/sweeper"):
            extra, module = PLUGINS.get(str(override.value()), ("", ""))
            if extra and not _installed(f"hydra_plugins.{module}"):
                raise UserError(
                    f"{override.input_line}: it comes with an extra: pip install 'ctxenc[{extra}]'"
                )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _check_safe(text: str, sweep: Sweep) -> None:
    """Refuse what could have Hydra run a stranger's code: only a command line may say such."""
    if not text.startswith("-") and all(map(_is_safe, parse([text]))):
        return
    raise UserError(
        f"{sweep.path / FILE}: {text}: not taken from a folder; resume=… hydra/launcher=… and its "
        "keys can be given again"
    )


def _is_safe(override: Override) -> bool:
    """Whether an override names our own files and keys alone, and calls no function."""
    key, package = override.key_or_group, override.package or ""
    value = (override.input_line or "").partition("=")[2]
    if (
        key in (*schema.groups(), "experiment") or "/" in key
    ):  # it chooses a file: not one elsewhere
        ours = key in (*schema.groups(), "experiment", *TAKEN_FROM_A_FOLDER)
        inside = not package or (package.startswith(f"{key}.") and ":" not in package)
        return ours and inside and NAMES.fullmatch(value) is not None
    free = not key.startswith("hydra") or key in TAKEN_FROM_A_FOLDER
    return free and not package and references.plain(value)


def _planned(command: Sequence[str], composed: DictConfig) -> int:
    """How many jobs there will be."""
    sweeper = composed.hydra.sweeper
    if _sweeper(composed) != "basic":
        return int(sweeper.get("n_trials", 0))
    return math.prod(
        len(list(o.sweep_string_iterator())) for o in parse(command) if o.is_discrete_sweep()
    )


def _arguments(sweep: Sweep, command: Sequence[str]) -> list[str]:
    """What Hydra is started with: jobs are named by what they differ in."""
    escaped = str(sweep.path).replace("\\", "\\\\").replace("'", "\\'")
    same = ",".join(o.key_or_group for o in parse(command) if not o.is_sweep_override())
    return [
        *command,
        f"hydra.sweep.dir='{escaped}'",
        f"hydra.job.config.override_dirname.exclude_keys=[{same}]",
    ]


def _keys(overrides: Sequence[str]) -> list[str]:
    return [override.get_key_element().lstrip("+~") for override in parse(overrides)]


def _launcher(composed: DictConfig) -> str:
    return composed.hydra.runtime.choices["hydra/launcher"]


def _sweeper(composed: DictConfig) -> str:
    return composed.hydra.runtime.choices["hydra/sweeper"]


def _is_of_launcher(key: str) -> bool:
    return key == "hydra/launcher" or key.startswith("hydra.launcher.")
