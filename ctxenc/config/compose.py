"""From overrides to a composed configuration, with one-line errors."""

import contextlib
import difflib
import functools
import re
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, get_args

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import references, schema, search_path
from ctxenc.config.instantiate import option_type
from ctxenc.config.schema import PRIMARY
from ctxenc.errors import UserError
from ctxenc.paths import expanded

FORCED = re.compile(r"force-add of config groups is not supported: '\+\+([^=']+)")
THERE = re.compile(r"Multiple values for (\w+)\.|item is already at '([^']+)'")  # Hydra's words

VALUE = re.compile(r"""'(?:\\.|[^'])*' | "(?:\\.|[^"])*" | [^,()\[\]{}'"]+""", re.VERBOSE)
CHOICE = re.compile(rf"\+?(experiment|{'|'.join(schema.groups())})=\w")
HYDRAS_TEXT = ("hydra.run.dir", "hydra.sweep.dir")

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
    overrides = as_typed(overrides, config_name=config_name)
    for override in parse(overrides):
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: several values need --multirun")
        group, value = override.key_or_group, override.value()
        number = isinstance(value, int | float | NoneType) and not override.is_delete()
        if number and search_path.choices(group):
            raise UserError(f"{override.input_line}: expected {group or 'KEY'}=CHOICE")
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


def check_length(composed: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse an override of `n_epoch` where `max_steps`, a recipe's say, decides."""
    given = [text for text in overrides if text.startswith("n_epoch=")]
    if given and composed.get("max_steps") is not None:
        raise UserError(
            f"{given[-1]}: max_steps={composed.max_steps} decides here; expected max_steps=null "
            "with it"
        )


def with_absolute_paths(composed: DictConfig) -> DictConfig:
    """The same with absolute folders and without functions' references, to resume from anywhere."""
    references.settle(composed)
    for name in schema.keys(lambda key: key.folder):
        if isinstance(value := composed.get(name), str):
            composed[name] = absolute(value, name)
    for name in folder_keys(composed):
        if (folder := OmegaConf.select(composed, name)) is not None:
            OmegaConf.update(composed, name, absolute(str(folder), name))
    return composed


def folder_keys(composed: DictConfig) -> list[str]:
    """The options of groups, and of what is inside of them, that lead to the user's files."""
    leading = schema.keys(lambda key: key.folders)
    nodes: Any = OmegaConf.to_container(composed, resolve=False)
    return [
        name
        for name in keys({group: nodes[group] for group in leading if group in nodes})
        if name.rpartition(".")[2] in leading[name.partition(".")[0]].folders
    ]


def absolute(path: str, key: str) -> str:
    """The path of a key from the root, with the user's home for ``~``.

    A `UserError` where it is empty, and would mean the working folder.
    """
    if not path:
        raise UserError(f"{key}=: empty; expected a folder")
    return str(expanded(path).absolute())


def quoted(path: str) -> str:
    """A path as a value of an override that Hydra reads back the same."""
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def as_typed(
    overrides: Sequence[str], saved: DictConfig | None = None, config_name: str = PRIMARY
) -> list[str]:
    """The overrides with quotes around what a text key is given and Hydra would change.

    To Hydra ``2024_01_15`` is a number, ``1e3`` is 1000.0 and ``true`` True. Which keys are text
    the schema knows, and the targets of the groups' choices, in the overrides or in `saved`.
    """
    kept = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        kept[text] = f"{key}={VALUE.sub(_quoted_value, value)}" if equals else text

    @functools.cache
    def configs() -> list[DictConfig]:
        """What has the targets; composed only for a key that is not the schema's: it is slow."""
        found, chosen = [] if saved is None else [saved], filter(CHOICE.match, overrides)
        with contextlib.suppress(UserError):
            choices = [text.partition(",")[0] for text in chosen]
            found.append(compose(choices, config_name=config_name))
        return found

    changed = {text for text, new in kept.items() if new != text and _is_text(text, configs)}
    return [kept[text] if text in changed else text for text in overrides]


def _quoted_value(match: re.Match[str]) -> str:
    text = match[0].strip()
    with contextlib.suppress(UserError):
        value = parse([f"key={text}"])[0].value()
        if isinstance(value, int | float) and str(value) != text:
            return match[0].replace(text, quoted(text))
    return match[0]


def _is_text(override: str, configs: Callable[[], Sequence[DictConfig]]) -> bool:
    """Whether the key of an override takes nothing but text."""
    key = override.partition("=")[0].lstrip("+")
    if field := schema.fields().get(key):
        return {str} <= {*schema.types(field)} <= {str, NoneType}
    if key in HYDRAS_TEXT:
        return True
    above, _, option = key.rpartition(".")
    for config in configs() if above else ():
        node = OmegaConf.select(config, above)
        if isinstance(node, DictConfig) and "_target_" in node:
            kind = option_type(node["_target_"], option)
            if {str} <= {*(get_args(kind) or (kind,))} <= {str, NoneType}:
                return True
    return False


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
    """What Hydra's error means in ctxenc's terms."""
    if there := THERE.search(str(error)):
        name = there[1] or there[2]
        return f"+{name}: it has a value already; expected {name}=…, without +"
    if forced := FORCED.search(str(error)):
        return f"++{forced[1]}: a group's choice; expected {forced[1]}=…, without ++"
    match = re.search(r"Could not override '([^']+)'", str(error))
    if match is None:
        return _one_line(error)
    key = match[1]
    group, _, option = key.partition(".")
    known = keys(OmegaConf.to_container(compose(), resolve=False))
    if key in known:
        return _one_line(error)
    if not option and search_path.choices(key):
        return f"{key}: nothing of it is chosen; expected +{key}=…, with +"
    if having := _choices_with(key, group):
        return f"{key}: not an option of this {group}; expected {' or '.join(having)} with it"
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.7)
    hint = f"did you mean {' or '.join(near)}?" if near else "--help lists every key"
    return f"{key}: no such key; {hint}"


def _choices_with(option: str, group: str) -> list[str]:
    """The choices of a group that have an option, as overrides."""
    choices = [f"{group}={choice}" for choice in search_path.choices(group)]
    if group not in schema.groups() or option == group:
        return []
    return [c for c in choices if option in keys(OmegaConf.to_container(compose([c])))]


def _missing(error: MissingConfigException) -> str:
    file = str(error.missing_cfg_file or "")
    group = file.rstrip("/").rpartition("/")[0]
    choice = file.removeprefix(f"{group}/")
    if not group:
        return _one_line(error)
    if known := search_path.choices(group):
        near = difflib.get_close_matches(choice.lower(), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{group}={choice}: {hint}expected {', '.join(known)}"
    return f"{group}={choice}: no such file in {', '.join(map(str, search_path.folders()))}"


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:300]


# See `ctxenc.run_folder.new.check_path`.
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
