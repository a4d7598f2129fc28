"""From a configuration's nodes to objects: the one place that reads ``_target_``.

A group's node names a function or class of this package and its options::

    _target_: ctxenc.masks.boxes.random_box
    mask_height: 16

The target's annotations are the options' schema, so a new mask, loss, model or dataset needs its
function and its YAML file and no entry anywhere else. Targets outside a group's own module are
refused: a configuration from a stranger's run folder runs no code but ours.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import json
import math
from collections.abc import Callable
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.errors import UserError
from ctxenc.masks import MaskStrategy

ROOMS = {
    "dataset": "ctxenc.data",
    "mask": "ctxenc.masks",
    "loss": "ctxenc.losses",
    "model": "ctxenc.models",
    "optimizer": "ctxenc.optimizers",
    "schedule": "ctxenc.schedules",
}
OURS = ("image_size", "output_size", "dtype", "parent")  # given by us or by Flax


def target(node: dict[str, Any], key: str) -> Callable[..., Any]:
    """The node's ``_target_`` with the node's options bound.

    Raises:
        UserError: the target is not one of this package's, or an option is unknown, missing or
            of the wrong type.
    """
    if not isinstance(node, dict):
        raise UserError(f"{key}={node}: it takes a _target_ and its options")
    options = dict(node)
    function = _locate(options.pop("_target_", None), key)
    parameters = _options(function)
    for name, value in options.items():
        if name not in parameters:
            raise UserError(f"{key}.{name}: no such option; it takes {', '.join(parameters)}")
        if value == MISSING:
            raise UserError(f"{key}.{name}: it has no default; set {key}.{name}=…")
    if absent := [n for n, p in parameters.items() if p.default is p.empty and n not in options]:
        raise UserError(f"{key}.{absent[0]}: it has no value; leave its default in place")
    bound = {
        name: (
            _parts(value, f"{key}.{name}")
            if parameters[name].annotation == dict[str, MaskStrategy]
            else _typed(f"{key}.{name}", value, parameters[name].annotation)
        )
        for name, value in options.items()
    }
    return functools.partial(function, **bound) if bound else function


def made(node: dict[str, Any], key: str, **ours: Any) -> Any:
    """The object that a node describes, with what is ours to give."""
    make = target(node, key)
    try:
        return make(**ours)
    except TypeError as error:  # a target that is not of the kind its key takes
        raise UserError(f"{key}: {node['_target_']} cannot be used here ({error})") from None


def strategy(node: dict[str, Any]) -> MaskStrategy:
    """The mask strategy of a configuration's node: a function, or an object of a class.

    Equal nodes give the same object, so that what is compiled for it is compiled once.

    Raises:
        UserError: an option is bad.
    """
    return _strategy(json.dumps(node), "mask")


@functools.cache
def _strategy(node_json: str, key: str) -> MaskStrategy:
    found = target(json.loads(node_json), key)
    return found() if inspect.isclass(getattr(found, "func", found)) else found


def _parts(nodes: Any, key: str) -> dict[str, MaskStrategy]:
    """The strategies that a mask is made of, by name."""
    if not isinstance(nodes, dict) or not nodes:
        raise UserError(f"{key}={nodes}: it takes masks by name: +mask@{key}.NAME=CHOICE")
    return {name: _strategy(json.dumps(nodes[name]), f"{key}.{name}") for name in nodes}


def _locate(path: Any, key: str) -> Callable[..., Any]:
    room = ROOMS[key.split(".")[0]]
    module, _, name = str(path).rpartition(".")
    if f"{module}.".startswith(f"{room}.") and not name.startswith("_"):
        with contextlib.suppress(ImportError, AttributeError):
            found = getattr(importlib.import_module(module), name)
            # Defined there, and not merely imported: a configuration runs no code but ours.
            if inspect.isroutine(found) | inspect.isclass(found) and found.__module__ == module:
                return found
    raise UserError(f"{key}._target_={path}: it takes a function or class of {room}")


def _options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a configuration may set: a function's keyword-only parameters, a module's fields."""
    parameters = inspect.signature(function, eval_str=True).parameters
    if inspect.isclass(function):
        return {name: p for name, p in parameters.items() if name not in (*OURS, "name")}
    return {
        name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY and name not in OURS
    }


def _typed(key: str, value: Any, annotation: Any) -> Any:
    """The value as its annotation wants it, lists as tuples so that modules stay hashable."""
    cell = dataclasses.make_dataclass("Cell", [("value", annotation)])
    try:
        typed = OmegaConf.to_container(OmegaConf.structured(cell(value)))["value"]  # type: ignore
        if isinstance(typed, float) and not math.isfinite(typed):
            raise ValueError
    except (OmegaConfBaseException, ValueError):
        name = getattr(annotation, "__name__", str(annotation))
        name = str(annotation) if "[" in str(annotation) or "|" in str(annotation) else name
        raise UserError(f"{key}={value}: it takes {name}") from None
    return tuple(typed) if isinstance(typed, list) else typed
