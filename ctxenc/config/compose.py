"""From overrides to a composed configuration, with one-line errors."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import references
from ctxenc.config.schema import GROUPS, choices, config_dir
from ctxenc.errors import UserError

FOLDERS = ("path", "data_dir", "folder")  # keys of a dataset or mask that lead to the user's files
OF_A_FOLDER = re.compile(rf"(dataset|mask|mask\.parts\.[^.]+)\.({'|'.join(FOLDERS)})")


def compose(overrides: Sequence[str] = (), *, with_hydra: bool = False) -> DictConfig:
    """The configuration of ``conf/train.yaml`` with Hydra overrides applied.

    Raises:
        UserError: an unknown key or choice (with the near names), or an override that Hydra
            cannot read.
    """
    for override in parse(overrides):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: several values take --multirun")
    around = GlobalHydra.instance().hydra  # of an application that calls us
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3", job_name="train"):
            composed = hydra.compose("train", list(overrides), return_hydra_config=with_hydra)
    except MissingConfigException as error:
        raise UserError(_missing(error)) from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_refused(error)) from None
    finally:
        GlobalHydra.instance().hydra = around
    return with_absolute_paths(composed)


def with_absolute_paths(composed: DictConfig) -> DictConfig:
    """The same with absolute folders and without functions' references, to resume from anywhere."""
    references.settle(composed)
    mask = composed.get("mask")
    parts = mask.get("parts") if isinstance(mask, DictConfig) else None
    nodes = [composed.get("dataset"), mask, *(parts.values() if parts else ())]
    for node in (node for node in nodes if isinstance(node, DictConfig)):
        for key in FOLDERS:
            if not OmegaConf.is_missing(node, key) and node.get(key):
                node[key] = str(Path(str(node[key])).expanduser().absolute())
    return composed


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides as Hydra reads them."""
    parser, read = OverridesParser.create(), []
    for override in overrides:
        try:
            read += parser.parse_overrides([override])
        except HydraException:
            raise UserError(
                f"{override}: Hydra cannot read this; it takes KEY=VALUE, with quotes around a "
                "value of special characters: KEY=\"'VALUE'\""
            ) from None
    return read


def single_runs(overrides: Sequence[str]) -> list[list[str]]:
    """Single runs that together try each value of a sweep once, the rest at their first value.

    Of an interval, both ends are tried.
    """
    fixed, swept = [], []
    for text, override in zip(overrides, parse(overrides), strict=True):
        if not override.is_sweep_override():
            fixed.append(text)
        elif values := _values(override):
            swept.append([f"{text.split('=')[0]}={value}" for value in values])
    first = [values[0] for values in swept]
    runs = [fixed + first]
    for i, values in enumerate(swept):
        runs += [[*fixed, *first[:i], value, *first[i + 1 :]] for value in values[1:]]
    return runs


def listed(text: str) -> str:
    """The override with its values one by one: not shuffled again, nor found anew among files."""
    (override,) = parse([text])
    if not override.is_discrete_sweep():
        return text
    return f"{text.split('=')[0]}={','.join(_values(override))}"


def with_absolute_values(text: str) -> str:
    """The override with a dataset's or mask's folder made absolute, so it holds from anywhere."""
    (override,) = parse([text])
    if not OF_A_FOLDER.fullmatch(override.key_or_group) or "${" in text:  # another key's is settled
        return text
    single = override.value() if not override.is_sweep_override() else ""
    values = _values(override) or ([str(single)] if single else [])
    paths = [str(Path(value.strip("'\"")).expanduser().absolute()) for value in values]
    quoted = ["'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'" for path in paths]
    return f"{text.split('=')[0]}={','.join(quoted)}" if quoted else text


def _values(override: Override) -> list[str]:
    """The values of a sweep, as a command line would have them; the ends of an interval."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    if isinstance(value, Glob):
        return value.filter(list(choices(override.key_or_group)))
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []


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


def _missing(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _one_line(error)
    if group in (*GROUPS, "experiment"):
        return f"{group}={choice}: it takes {', '.join(choices(group))}"
    return f"{group}={choice}: no such file in {config_dir()}"


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]


# See `runs.reserving.check_path`.
LETTERS = {"/": "_", "\\": "_", "[": "(", "]": ")", "*": "_", "?": "_"}


def folder_name(number: int, overrides: str) -> str:
    """A sweep job's number and overrides as the name of one folder, of bounded length."""
    name = f"{number}-{overrides}".rstrip("-")
    return "".join(LETTERS.get(letter, letter) for letter in name)[:80]


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)
