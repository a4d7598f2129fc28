"""From a configuration's nodes to objects: the one place that reads ``_target_``.

A group's node names a function or class, and its options::

    _target_: ctxenc.masks.boxes.random_box
    mask_height: 16

The target's annotations are the options' schema, so a new mask, loss, model or dataset needs its
function and its YAML file and no entry anywhere else. Whoever types a command could run the target
anyway, so any importable one is taken. A saved run folder may come from somebody else: from it only
functions and classes of ctxenc, Optax and the packages that announce themselves are
(`ctxenc.config.search_path`, `check_allowed`).
"""

import dataclasses
import functools
import importlib
import inspect
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from ctxenc.config import schema
from ctxenc.config.search_path import VARIABLE, announced
from ctxenc.errors import UserError
from ctxenc.masks import MaskStrategy

GIVEN = ("image_size", "output_size", "dtype", "learning_rate")  # by us
FLAX = ("parent", "name")  # fields that every module of Flax has


def target(
    node: Any, key: str, *, positional: int = 0, given: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """The node's ``_target_`` with the node's options bound.

    Args:
        node: ``_target_`` and options.
        key: of the node, for messages: ``mask``, ``model.generator``.
        positional: how many arguments a function is called with by position; the first so many of
            its parameters are no options. A class is called with its options alone.
        given: names of arguments that the caller gives, which are no options either.

    Raises:
        UserError: the target cannot be imported, or an option is unknown, missing or of the wrong
            type.
    """
    if not isinstance(node, dict):
        raise UserError(f"{key}={node}: expected a _target_ and its options")
    options = dict(node)
    path = options.pop("_target_", None)
    function = locate(path, f"{key}._target_")
    parameters, anything = _options(function, positional, given)
    for name, value in options.items():
        if name not in parameters and not anything:
            raise UserError(f"{key}.{name}: no such option; expected {_listed(parameters)}")
        if value == MISSING:
            raise UserError(f"{key}.{name}: no default; set {key}.{name}=…")
    if absent := [n for n, p in parameters.items() if p.default is p.empty and n not in options]:
        raise UserError(f"{key}.{absent[0]}: no value; expected its default, or one of yours")
    bound = {
        name: _value(f"{key}.{name}", value, parameters.get(name))
        for name, value in options.items()
    }
    return functools.partial(function, **bound) if bound else function


def made(node: Any, key: str, **given: Any) -> Any:
    """The object that a node describes; its target is called with the options and with `given`."""
    make = target(node, key, given=tuple(given))
    try:
        return make(**given)
    except UserError:
        raise
    except Exception as error:  # a target that is not of the kind its key expects
        raise UserError(
            f"{key}._target_={node['_target_']}: cannot be made with "
            f"{', '.join([*node, *given][1:]) or 'no options'} ({type(error).__name__}: {error})"
        ) from None


def strategy(node: Any, key: str = "mask") -> MaskStrategy:
    """The mask strategy of a configuration's node: a function, or an object of a class.

    Equal nodes give the same object, so that what is compiled for it is compiled once.

    Raises:
        UserError: an option is bad.
    """
    return _strategy(json.dumps(node), key)


def forget_strategies() -> None:
    """Make each mask strategy anew from now on."""
    _strategy.cache_clear()


@functools.cache
def _strategy(node_json: str, key: str) -> MaskStrategy:
    node = json.loads(node_json)
    found = target(node, key, positional=4)  # key, batch, height, width
    if inspect.isclass(getattr(found, "func", found)):
        found = made(node, key)
    if not callable(found):
        raise UserError(f"{key}._target_={node['_target_']}: expected a function or a callable")
    return found


def _value(name: str, value: Any, parameter: inspect.Parameter | None) -> Any:
    annotation = Any if parameter is None else parameter.annotation
    if annotation != dict[str, MaskStrategy]:
        return _typed(name, value, annotation)
    if not isinstance(value, dict) or not value:
        raise UserError(f"{name}={value}: expected masks by name: +mask@{name}.NAME=CHOICE")
    return {part: strategy(node, f"{name}.{part}") for part, node in value.items()}


def locate(path: Any, key: str) -> Callable[..., Any]:
    """The function or class of a dotted path.

    Raises:
        UserError: there is none.
    """
    module, _, name = str(path).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the module raises while it is imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{key}={path}: cannot be imported ({reason})") from None
    if not callable(found):
        raise UserError(f"{key}={path}: expected a function or a class")
    return found


def check_allowed(values: Any, where: Path) -> None:
    """Refuse a saved configuration that names code which may not run from a folder.

    Args:
        values: the configuration as plain containers, resolved.
        where: the folder, for messages.

    Raises:
        UserError: naming the target, and what would allow it.
    """
    for path, node in _targets(values, ()):
        found = node["_target_"]
        if not isinstance(found, str) or not _is_allowed(found, path[0]):
            package = str(found).split(".")[0]
            raise UserError(
                f"{where}: {'.'.join(path)}={found}: not run from a saved folder, which may be "
                f"anybody's; if you trust it: {VARIABLE}={package}"
            )


def unknown_options(values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Where a saved configuration sets what its targets do not take: options since come or gone.

    Args:
        values: the nodes of groups, by name, as plain containers.
    """
    found = []
    for path, node in _targets(values, ()):
        parameters, anything = _options(locate(node["_target_"], ".".join(path)), 0, ())
        taken = {"_target_", *parameters}
        found += [(*path[:-1], str(name)) for name in node if not anything and name not in taken]
    return found


def option_type(path: Any, option: str) -> Any:
    """The annotation of an option of a target; None where there is no such."""
    try:
        found = _options(locate(path, "_target_"), 0, ())[0].get(option)
    except UserError:
        return None
    return None if found is None else found.annotation


def _targets(node: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each ``_target_``: its path, and the mapping that it is in."""
    inside = node.items() if isinstance(node, dict) else enumerate(node)
    for name, value in inside:
        if name == "_target_":
            yield (*above, "_target_"), node
        if isinstance(value, dict | list):
            yield from _targets(value, (*above, str(name)))


def _is_allowed(path: str, group: str) -> bool:
    module, _, name = path.rpartition(".")
    package = module.split(".")[0]
    if name.startswith("_") or package not in ("ctxenc", "optax", *announced()):
        return False
    home = schema.keys()[group].package if group in schema.groups() else ""
    if package == "ctxenc" and not (home and f"{module}.".startswith(f"{home}.")):
        return False
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception:
        return False
    if not (inspect.isroutine(found) or inspect.isclass(found)):
        return False
    # Defined there and not merely imported, of ctxenc in that very module.
    if package == "ctxenc":
        return found.__module__ == module
    return str(found.__module__).split(".")[0] == package


def _options(
    function: Callable[..., Any], positional: int, given: tuple[str, ...]
) -> tuple[dict[str, inspect.Parameter], bool]:
    """(what a configuration may set, whether it may set anything)."""
    try:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    except (TypeError, ValueError, NameError):
        return {}, True  # built in, or annotated with names that are not there
    if not inspect.isclass(function):
        parameters = parameters[positional:]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = {p.name: p for p in parameters if p.kind not in variable}
    not_options = (*GIVEN, *given, *(FLAX if "parent" in found else ()))
    options = {name: p for name, p in found.items() if name not in not_options}
    return options, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _listed(parameters: dict[str, inspect.Parameter]) -> str:
    return ", ".join(parameters) or "none"


def converted(value: Any, annotation: Any) -> Any:
    """A configuration whose ``value`` is this one, as OmegaConf converts it to its type.

    Raises:
        OmegaConfBaseException: it cannot; also for true or false where a number is neither 0 nor 1.
    """
    kinds = {*(get_args(annotation) or (annotation,))}
    numbers = bool not in kinds or kinds & {int, float}
    if not numbers and type(value) in (int, float) and value not in (0, 1):
        raise ValidationError(f"{value} is neither true nor false")
    return OmegaConf.structured(_cell(annotation)(value))


@functools.cache
def _cell(annotation: Any) -> Any:
    return dataclasses.make_dataclass("Cell", [("value", annotation)])


def _typed(key: str, value: Any, annotation: Any) -> Any:
    """The value as its annotation wants it, lists as tuples so that modules stay hashable."""
    if not _checkable(annotation):  # the target's own to check
        return tuple(value) if isinstance(value, list) else value
    try:
        structured = converted(value, annotation)
    except OmegaConfBaseException:
        raise _unfit(key, value, annotation) from None
    typed = structured["value"]
    typed = OmegaConf.to_container(typed) if OmegaConf.is_config(typed) else typed
    if isinstance(typed, float) and not math.isfinite(typed):
        raise _unfit(key, value, annotation)
    return tuple(typed) if isinstance(typed, list) else typed


def _checkable(annotation: Any) -> bool:
    """Whether OmegaConf can check values of a type: plain ones, lists, dictionaries and unions."""
    inside = get_args(annotation)
    if inside:
        return all(part is Ellipsis or _checkable(part) for part in inside)
    return annotation in (int, float, bool, str, NoneType, list, tuple, dict)


def _unfit(key: str, value: Any, annotation: Any) -> UserError:
    plain = isinstance(annotation, type) and "[" not in str(annotation)
    name = annotation.__name__ if plain else str(annotation)
    return UserError(f"{key}={value}: expected {name}")
