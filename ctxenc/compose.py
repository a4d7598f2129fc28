"""From overrides to a checked configuration, with one-line errors."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import GROUPS, choices, config_dir
from ctxenc.errors import UserError


def compose(overrides: Sequence[str] = (), *, with_hydra: bool = False) -> DictConfig:
    """The configuration of ``conf/train.yaml`` with Hydra overrides applied.

    Raises:
        UserError: an unknown key or choice (with the near names), or an override that Hydra
            cannot read.
    """
    for override in parse(overrides):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: several values take --multirun")
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3", job_name="train"):
        try:
            return hydra.compose("train", list(overrides), return_hydra_config=with_hydra)
        except MissingConfigException as error:
            raise UserError(_missing(error, overrides)) from None
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_refused(error)) from None


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides as Hydra reads them."""
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        message = str(error).splitlines()[0]
        raise UserError(f"{' '.join(overrides)}: Hydra cannot read this: {message}") from None


def single_runs(overrides: Sequence[str]) -> list[list[str]]:
    """Single runs that together try each value of a sweep once, the rest at their first value.

    Overrides whose values cannot be listed (intervals, say) are left to the sweeper.
    """
    fixed, swept = [], []
    for text, override in zip(overrides, parse(overrides), strict=True):
        if not override.is_sweep_override():
            fixed.append(text)
        elif override.is_discrete_sweep():
            key = override.input_line.split("=")[0] if override.input_line else ""
            swept.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    first = [values[0] for values in swept]
    runs = [fixed + first]
    for i, values in enumerate(swept):
        runs += [[*fixed, *first[:i], value, *first[i + 1 :]] for value in values[1:]]
    return runs


def keys(config: Any, prefix: str = "") -> list[str]:
    """Every dotted key of a configuration."""
    found = []
    for key, value in config.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, dict):
            found += keys(value, f"{prefix}{key}.")
    return found


def _refused(error: Exception) -> str:
    match = re.search(r"Could not override '([^']+)'", str(error))
    if match is None:
        return _one_line(error)
    key = match[1]
    known = keys(OmegaConf.to_container(compose(), resolve=False))
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.7)
    hint = f"did you mean {' or '.join(near)}?" if near else "--help lists every key"
    return f"{key}: no such key; {hint}"


def _missing(error: MissingConfigException, overrides: Sequence[str]) -> str:
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _one_line(error)
    if group in (*GROUPS, "experiment"):
        return f"{group}={choice}: it takes {', '.join(choices(group))}"
    return f"{group}={choice}: no such file in {config_dir()}"


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]
