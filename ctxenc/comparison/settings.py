"""What a run was told: its configuration as flat keys, each group by the name of its choice."""

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ctxenc.config import schema
from ctxenc.config.search_path import config_dir
from ctxenc.errors import UserError
from ctxenc.runs import safe_read

PLACES = ("name", "resume", "resume_step", "samples_dir", "save_dir", "dataset.data_dir")
IDLE = (  # these change no result either
    *PLACES,
    *("num_workers", "distributed", "num_img", "n_update", "log_every", "eval_every", "monitor"),
)


@dataclass(frozen=True)
class Settings:
    """One run's configuration.

    `values` maps dotted keys to their text, a group's own key to the name of its choice
    (``mask`` to ``random``); `changed` are the keys inside groups whose values are not those of
    the choice's file.
    """

    values: Mapping[str, str]
    changed: frozenset[str]

    @classmethod
    def of(cls, config: Mapping[str, Any], overrides: Sequence[str] = ()) -> "Settings":
        """The settings of a composed configuration and of the overrides that made it."""
        values: dict[str, str] = {}
        changed: set[str] = set()
        for key, node in config.items():
            if key in schema.groups() and isinstance(node, dict):
                inside = flat(node)
                name, expected = _choice(key, inside, overrides)
                values[key] = name
                values |= {f"{key}.{k}": v for k, v in inside.items()}
                changed |= {
                    f"{key}.{k}"
                    for k in inside.keys() | expected.keys()
                    if inside.get(k) != expected.get(k)
                }
            else:
                values |= flat({str(key): node})
        return cls(values, frozenset(changed))


def differing(runs: Sequence[Settings]) -> list[str]:
    """The keys that tell runs apart, in the configuration's order.

    A key inside a group counts where it differs between runs of the same choice, or from the
    choice's file: that another mask has other options is said by its name.
    """
    keys = dict.fromkeys(key for run in runs for key in run.values)
    return [key for key in keys if key not in PLACES and _tells_apart(key, runs)]


def _tells_apart(key: str, runs: Sequence[Settings]) -> bool:
    if len({run.values.get(key) for run in runs}) == 1:
        return False
    group = key.split(".")[0]
    if group not in schema.groups() or key == group:
        return True
    if any(key in run.changed for run in runs):
        return True
    by_choice: dict[str | None, set[str | None]] = {}
    for run in runs:
        by_choice.setdefault(run.values.get(group), set()).add(run.values.get(key))
    return any(len(found) > 1 for found in by_choice.values())


def text(value: Any) -> str:
    """A value as Hydra would take it: null, true, 0.001, [4,8]."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    return str(value)


def same_value(a: str, b: str) -> bool:
    """Whether two texts are the same value: 1e-3 is 0.001."""
    try:
        return float(a) == float(b)
    except ValueError:
        return a == b


def flat(node: Mapping[Any, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and the text of their values; lists are values."""
    found: dict[str, str] = {}
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = text(value)
    return found


def read_yaml(file: Path) -> Any:
    """A YAML file's content; many times faster than OmegaConf, which 200 runs would wait for.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        safe = safe_read.yaml_text(file)
        return yaml.load(safe, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        raise UserError(f"{file}: missing") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{file}: not readable as YAML ({type(error).__name__})") from None


def _choice(
    group: str, inside: Mapping[str, str], overrides: Sequence[str]
) -> tuple[str, Mapping[str, str]]:
    """(the name of a group's choice, the values in its file).

    A choice is known by the functions and classes that it names. Where several name the same (the
    cats of CIFAR-10 and all of it), the override decides, then the number of equal values.
    """
    given = [o.split("=", 1)[1] for o in overrides if o.startswith(f"{group}=")]
    alike = {n: e for n, e in _known(group).items() if _targets(e) == _targets(inside)}
    if given and given[-1] in alike:
        return given[-1], alike[given[-1]]
    if alike:
        return max(alike.items(), key=lambda item: len(item[1].items() & inside.items()))
    if given:
        return given[-1], inside
    target = next(iter(_targets(inside).values()), "?")
    return target.rsplit(".", 1)[-1], inside


def _targets(values: Mapping[str, str]) -> dict[str, str]:
    """What is built: the ``_target_`` keys, and the parts that are switched off with null."""
    parts = {k for k in values if k.rsplit(".", 1)[-1] == "_target_"}
    return {k: values[k] for k in sorted(parts)}


@functools.cache
def _known(group: str) -> dict[str, dict[str, str]]:
    """Each choice of a group with the flat content of its file and of those it builds on."""
    found = {}
    for file in sorted((config_dir() / group).glob("*.yaml")):
        with contextlib.suppress(UserError):
            found[file.stem] = flat(_content(group, file.stem))
    return found


def _content(group: str, choice: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values in a choice's file, over those of the choices in its defaults list."""
    node = read_yaml(config_dir() / group / f"{choice}.yaml")
    if not isinstance(node, dict) or choice in above:
        return {}
    found: dict[str, Any] = {}
    for entry in node.pop("defaults", []):
        if isinstance(entry, str) and entry != "_self_":  # joint, joint@loss, blocks@parts.blocks
            name, _, package = entry.partition("@")
            part = _content(group, name, (*above, choice))
            for key in reversed(package.removeprefix(group).strip(".").split(".")):
                part = {key: part} if key else part
            found = _merged(found, part)
    inside = node.get(group, node)  # the group's own key in a file of @package _global_
    return _merged(found, inside) if isinstance(inside, dict) else found


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both, key by key; what is `over` counts."""
    found = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both else value
    return found
