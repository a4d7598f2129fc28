"""A run's settings: its configuration as flat keys, each group by the name of its choice."""

import contextlib
import functools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import schema, search_path
from ctxenc.config.schema import Role
from ctxenc.errors import UserError
from ctxenc.run_folder.files import ANYTHING, read_yaml

NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?(e[+-]?\d{1,2})?")  # as `_text` writes it


@dataclass(frozen=True)
class Settings:
    """One run's configuration.

    `values` maps dotted keys to their text, a group's own key to the name of its choice
    (``mask`` to ``random``); `changed` are the keys inside groups whose values are not those of
    the choice's file.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Mapping[Any, Any], overrides: Sequence[str] = ()) -> "Settings":
        """The settings of a composed configuration and of the overrides that made it.

        A key that did not exist yet when the configuration was saved has the value that stood for
        it then; keys that this version does not know are kept.
        """
        values: dict[str, str] = {}
        changed: set[str] = set()
        groups = schema.groups()
        for key, node in {**schema.before(), **config}.items():
            if key not in groups or not isinstance(node, dict):
                values |= _flat({key: node})
                continue
            inside = _flat(node)
            values[key], expected = _choice(key, inside, overrides)
            values |= {f"{key}.{k}": v for k, v in inside.items()}
            both = inside.keys() | expected.keys()
            changed |= {f"{key}.{k}" for k in both if inside.get(k) != expected.get(k)}
        return cls(values, frozenset(changed))


def differing(runs: Sequence[Settings]) -> list[str]:
    """The keys that tell runs apart, in the configuration's order.

    A key inside a group counts where it differs between runs of the same choice, or from the
    choice's file: that another mask has other options is said by its name. Runs whose
    configuration is missing do not count.
    """
    known = [run for run in runs if run.values]
    keys = dict.fromkeys(key for run in known for key in run.values)
    return [key for key in keys if _tells_apart(key, known) and _role(key) is not Role.LOCATION]


def changes_results(key: str) -> bool:
    """Whether runs that differ in this key alone may end differently."""
    return _role(key) not in (Role.NO_EFFECT, Role.LOCATION)


def typed(key: str, text: str) -> float | str:
    """A value as a number, where it is one and its key is not for text."""
    field = schema.fields().get(key)
    if NUMBER.fullmatch(text) is None or (field is not None and str in schema.types(field)):
        return text
    return float(text) if set(text) & set(".e") else int(text)


def _role(key: str) -> Role | None:
    """What a dotted key does to a run; None for one that this version does not know."""
    top, _, option = key.partition(".")
    if (known := schema.keys().get(top)) is None:
        return None
    return Role.LOCATION if option in known.places else known.role


def _tells_apart(key: str, runs: Sequence[Settings]) -> bool:
    if len({run.values.get(key) for run in runs}) == 1:
        return False
    group = key.split(".")[0]
    if group not in schema.groups() or key == group or any(key in run.changed for run in runs):
        return True
    found = {(run.values.get(group), run.values.get(key)) for run in runs}
    return len(found) > len({choice for choice, _ in found})


def _flat(node: Mapping[Any, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and the text of their values; lists are values."""
    found: dict[str, str] = {}
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            # Thousands of runs have the same keys, and mostly the same values.
            found[sys.intern(f"{prefix}{key}")] = sys.intern(_text(value))
    return found


def _text(value: Any) -> str:
    """A value as Hydra would take it: null, true, 0.001, [4,8]."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list | tuple):  # the schema's own default is a tuple
        return f"[{','.join(map(_text, value))}]"
    return str(value)


def _choice(
    group: str, inside: Mapping[str, str], overrides: Sequence[str]
) -> tuple[str, Mapping[str, str]]:
    """(the name of a group's choice, the values in its file).

    A choice is known by the functions and classes that it names. Where several name the same (the
    cats of CIFAR-10 and all of it), the override decides, then the number of equal values.
    """
    given = [o.split("=", 1)[1] for o in overrides if o.startswith(f"{group}=")]
    choices, targets = _choices(group, tuple(search_path.folders())), _targets(inside)
    alike = {name: values for name, (values, own) in choices.items() if own == targets}
    if given and given[-1] in alike:
        return given[-1], alike[given[-1]]
    if alike:
        return max(alike.items(), key=lambda item: len(item[1].items() & inside.items()))
    if given:
        return given[-1], inside
    target = next(iter(targets.values()), "?")
    return target.rsplit(".", 1)[-1], inside


def _targets(values: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in values.items() if k.rsplit(".", 1)[-1] == "_target_"}


@functools.cache
def _choices(
    group: str, folders: tuple[Path, ...]
) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Each choice of a group with its file's flat content, and of that the targets."""
    # As in Hydra, the first folder that has a choice counts.
    files = {f.stem: f for folder in reversed(folders) for f in (folder / group).glob("*.yaml")}
    found = {}
    for choice in sorted(files):
        with contextlib.suppress(UserError, OmegaConfBaseException):
            values = _flat(_content(group, choice, files))
            found[choice] = values, _targets(values)
    return found


def _content(
    group: str, choice: str, files: Mapping[str, Path], above: tuple[str, ...] = ()
) -> dict[Any, Any]:
    """The values in a choice's file, over those of the choices in its defaults list."""
    if choice in above or choice not in files:
        return {}
    node = read_yaml(files[choice], ANYTHING)
    if not isinstance(node, dict):
        return {}
    parts: list[dict[Any, Any]] = []
    for entry in node.pop("defaults", []):
        if isinstance(entry, str) and entry != "_self_":  # joint, joint@loss, blocks@parts.blocks
            name, _, package = entry.partition("@")
            part = _content(group, name, files, (*above, choice))
            for key in reversed(package.removeprefix(group).strip(".").split(".")):
                part = {key: part} if key else part
            parts.append(part)
    inside = node.get(group, node)  # the group's own key in a file of @package _global_
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*parts, inside or {}))
    return merged
