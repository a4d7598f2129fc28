"""From configuration to objects: the one place that reads ``_target_``.

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

import jax.numpy as jnp
import numpy as np
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import Config
from ctxenc.data.images import Dataset, in_memory
from ctxenc.errors import UserError
from ctxenc.evaluation import held_out
from ctxenc.gan import Gan
from ctxenc.masks import MaskStrategy
from ctxenc.masks.boxes import band
from ctxenc.views import Views, are_boxes

ROOMS = {
    "dataset": "ctxenc.data",
    "mask": "ctxenc.masks",
    "loss": "ctxenc.losses",
    "model": "ctxenc.models",
    "optimizer": "ctxenc.optimizers",
    "schedule": "ctxenc.schedules",
}

STATIC = (  # keys that decide on the compiled program; all others are numbers that it is given
    *("mask", "loss", "model", "optimizer", "schedule", "image_size", "mask_height", "mask_width"),
    *("overlap", "predict", "judge", "mask_channel", "precision", "flip"),
)
OURS = ("image_size", "output_size", "dtype", "parent")  # given by us or by Flax


def gan(config: Config) -> Gan:
    """What a configuration trains. Equal configurations give the same object: one compilation.

    Raises:
        UserError: an option is bad, or masks, predictions and judged pixels do not fit together.
    """
    described = {key: getattr(config, key) for key in STATIC}
    return _gan(json.dumps({**described, "averaged": config.average is not None}))


@functools.lru_cache(maxsize=8)
def _gan(described_json: str) -> Gan:
    described = json.loads(described_json)
    loss, model, dtype = described["loss"], described["model"], jnp.dtype(described["precision"])
    mask = strategy(described["mask"])
    seen = _views(described, mask)
    judged, seam, penalty = (loss.get(name) for name in ("adversarial", "seam", "penalty"))
    return Gan(
        generator=_made(
            _part(model, "generator", "model"),
            "model.generator",
            output_size=seen.window,
            dtype=dtype,
        ),
        discriminator=(
            _made(_part(model, "discriminator", "model"), "model.discriminator", dtype=dtype)
            if judged
            else None
        ),
        reconstruction=target(_part(loss, "reconstruction", "loss"), "loss.reconstruction"),
        adversarial=_made(judged, "loss.adversarial") if judged else None,
        seam=target(seam, "loss.seam") if seam else None,
        penalty=target(penalty, "loss.penalty") if penalty else None,
        mask=mask,
        views=seen,
        optimizer=_made(described["optimizer"], "optimizer"),
        schedule=target(described["schedule"], "schedule"),
        flip=described["flip"],
        averaged=described["averaged"],
    )


def _part(node: dict[str, Any], name: str, key: str) -> Any:
    if name not in node:
        raise UserError(f"{key}.{name}: missing; it takes a _target_ and its options")
    return node[name]


def strategy(node: dict[str, Any]) -> MaskStrategy:
    """The mask strategy of a configuration's node: a function, or an object of a class.

    Equal nodes give the same object, so that what is compiled for it is compiled once.

    Raises:
        UserError: an option is bad.
    """
    return _strategy(json.dumps(node), "mask")


@functools.lru_cache(maxsize=16)
def _strategy(node_json: str, key: str) -> MaskStrategy:
    found = target(json.loads(node_json), key)
    return found() if inspect.isclass(getattr(found, "func", found)) else found


def _parts(nodes: Any, key: str) -> dict[str, MaskStrategy]:
    """The strategies that a mask is made of, by name."""
    if not isinstance(nodes, dict) or not nodes:
        raise UserError(f"{key}={nodes}: it takes masks by name: +mask@{key}.NAME=CHOICE")
    return {name: _strategy(json.dumps(nodes[name]), f"{key}.{name}") for name in nodes}


def _views(described: dict[str, Any], mask: MaskStrategy) -> Views:
    size, box = described["image_size"], (described["mask_height"], described["mask_width"])
    predict, overlap = described["predict"], described["overlap"]
    hole = Views(window=box, band=band(overlap, *box), box=box)
    all_boxes = _fill_boxes(mask, hole, size)
    if predict == "hole" or described["judge"] == "hole":
        check_holes(mask, hole, size)
    if predict == "image" or not all_boxes:
        if hole.band:
            raise UserError(
                f"overlap={overlap}: a prediction of the whole image overlaps all of its context; "
                "it takes 0, and context_weight weighs the context"
            )
        hole = Views(window=(size, size), whole=True, box=box if all_boxes else None)
    given = {"judge": described["judge"], "mask_channel": described["mask_channel"]}
    return dataclasses.replace(hole, **given)


def views_of_masks(views: Views, mask: MaskStrategy, box: tuple[int, int], size: int) -> Views:
    """A generator's views of other masks than those it was trained on.

    Raises:
        UserError: it fills boxes, and they are not.
    """
    if views.whole:
        hole = Views(window=box, box=box)
        return dataclasses.replace(views, box=box if _fill_boxes(mask, hole, size) else None)
    check_holes(mask, views, size)
    return views


def check_holes(mask: MaskStrategy, views: Views, size: int) -> None:
    """Refuse masks whose missing pixels are not the box that a generator of holes fills."""
    if not _fill_boxes(mask, views, size):
        height, width = views.window
        raise UserError(
            "mask: its missing pixels must fill a box of mask_height × mask_width, "
            f"{height} × {width}, and do not; predict=image, with judge=prediction or composite, "
            "takes any"
        )


def _fill_boxes(mask: MaskStrategy, views: Views, size: int) -> bool:
    """Whether each of 64 test masks is one box of the window's size, less its visible band."""
    sample = np.asarray(held_out.frozen(mask, jnp.arange(64), size))[..., 0] > 0
    height, width = (side - 2 * views.band for side in views.window)
    return are_boxes(sample, height, width)


def dataset(config: Config) -> Dataset:
    """The images of a configuration, opened once a process however many jobs ask for them.

    Splits that fit in memory are decoded.
    """
    return _dataset(json.dumps(config.dataset), config.image_size)


@functools.lru_cache(maxsize=2)
def _dataset(node_json: str, image_size: int) -> Dataset:
    opened: Dataset = _made(json.loads(node_json), "dataset", image_size=image_size)
    return Dataset(opened.name, in_memory(opened.train), in_memory(opened.test))


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


def _made(node: dict[str, Any], key: str, **ours: Any) -> Any:
    """The object that a node describes, with what is ours to give."""
    make = target(node, key)
    try:
        return make(**ours)
    except TypeError as error:  # a target that is not of the kind its key takes
        raise UserError(f"{key}: {node['_target_']} cannot be used here ({error})") from None


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
