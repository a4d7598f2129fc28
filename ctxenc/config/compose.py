"""From overrides to a composed configuration, with one-line errors."""

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import references, schema, search_path
from ctxenc.errors import UserError

PRIMARY = "train"  # conf/train.yaml

ConfigStore.instance().store(
    "keys", {name: f.default for name, f in schema.fields().items() if "group" not in f.metadata}
)


def compose(
    overrides: Sequence[str] = (), *, with_hydra: bool = False, config_name: str = PRIMARY
) -> DictConfig:
    """The configuration of ``conf/train.yaml``, or another file, with Hydra overrides applied.

    Raises:
        UserError: an unknown key or choice (with the near names), or an override that Hydra
            cannot read.
    """
    for override in parse(overrides):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: several values need --multirun")
    around = GlobalHydra.instance().hydra  # of an application that calls us
    GlobalHydra.instance().clear()
    own = str(search_path.config_dir())
    try:
        with hydra.initialize_config_dir(own, version_base="1.3", job_name=PRIMARY):
            composed = hydra.compose(config_name, list(overrides), return_hydra_config=with_hydra)
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
    for name in schema.keys(lambda key: key.folder):
        if isinstance(value := composed.get(name), str) and value:
            composed[name] = absolute(value)
    for group, key in schema.keys(lambda key: key.folders).items():
        for node in _nodes(composed.get(group)):
            for option in key.folders:
                if not OmegaConf.is_missing(node, option) and node.get(option):
                    node[option] = absolute(str(node[option]))
    return composed


def absolute(path: str) -> str:
    """The path from the root, with the user's home for ``~``."""
    return str(Path(path).expanduser().absolute())


def quoted(path: str) -> str:
    """A path as a value of an override that Hydra reads back the same."""
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _nodes(node: Any) -> Iterator[DictConfig]:
    """A group's node and those inside of it: a mixture's parts, say."""
    if isinstance(node, DictConfig):
        yield node
        for name in node:
            if OmegaConf.is_config(node._get_node(name)):
                yield from _nodes(node[name])


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides as Hydra reads them."""
    parser, read = OverridesParser.create(), []
    for override in overrides:
        try:
            read += parser.parse_overrides([override])
        except (HydraException, RecursionError):
            raise UserError(
                f"{override}: Hydra cannot read this; expected KEY=VALUE, with quotes around a "
                "value of special characters: KEY=\"'VALUE'\""
            ) from None
    return read


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
    if key in known:
        return _one_line(error)
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.7)
    hint = f"did you mean {' or '.join(near)}?" if near else "--help lists every key"
    return f"{key}: no such key; {hint}"


def _missing(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _one_line(error)
    if known := search_path.choices(group):
        return f"{group}={choice}: expected {', '.join(known)}"
    return f"{group}={choice}: no such file in {', '.join(map(str, search_path.folders()))}"


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]


# See `runs.folder.check_path`.
LETTERS = {"/": "_", "\\": "_", "[": "(", "]": ")", "*": "_", "?": "_"}


def folder_name(number: int, overrides: str) -> str:
    """A sweep job's number and overrides as the name of one folder, of bounded length."""
    # Of the path of another run its last part, which leaves room for the other overrides.
    short = re.sub(r"\binit_from='[^']*?([^'/]*)'", r"init_from=\1", overrides)
    name = f"{number}-{short}".rstrip("-")
    return "".join(LETTERS.get(letter, letter) for letter in name)[:80]


def half(size: Any) -> Any:
    """Half of a size, rounded down; what is no number stays as it is, for the checks to refuse."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return int(size) // 2
    return size


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)
OmegaConf.register_new_resolver("half", half, replace=True)
