"""From a checked configuration to objects: networks with their losses and masks, and images."""

import dataclasses
import functools
import json
from typing import Any

import jax.numpy as jnp
import numpy as np

from ctxenc.config.schema import Config
from ctxenc.config.targets import made, strategy, target
from ctxenc.data.images import Dataset, in_memory
from ctxenc.errors import UserError
from ctxenc.evaluation import held_out
from ctxenc.gan import Gan
from ctxenc.masks import MaskStrategy
from ctxenc.masks.boxes import band
from ctxenc.masks.mixture import Mixture
from ctxenc.views import Views, are_boxes

STATIC = (  # keys that decide on the compiled program; all others are numbers that it is given
    *("mask", "loss", "model", "optimizer", "schedule", "image_size", "mask_height", "mask_width"),
    *("overlap", "predict", "judge", "mask_channel", "precision", "flip"),
)


def gan(config: Config) -> Gan:
    """What a configuration trains. Equal configurations give the same object: one compilation.

    Raises:
        UserError: an option is bad, or masks, predictions and judged pixels do not fit together.
    """
    described = {key: getattr(config, key) for key in STATIC}
    return _gan(json.dumps({**described, "averaged": config.average is not None}))


@functools.cache  # what JAX has compiled for one stays in memory anyway
def _gan(described_json: str) -> Gan:
    described = json.loads(described_json)
    loss, model, dtype = described["loss"], described["model"], jnp.dtype(described["precision"])
    mask = strategy(described["mask"])
    seen = _views(described, mask)
    judged, seam, penalty = (loss.get(name) for name in ("adversarial", "seam", "penalty"))
    return Gan(
        generator=made(
            _part(model, "generator", "model"),
            "model.generator",
            output_size=seen.window,
            dtype=dtype,
        ),
        discriminator=(
            made(_part(model, "discriminator", "model"), "model.discriminator", dtype=dtype)
            if judged
            else None
        ),
        reconstruction=target(_part(loss, "reconstruction", "loss"), "loss.reconstruction"),
        adversarial=made(judged, "loss.adversarial") if judged else None,
        seam=target(seam, "loss.seam") if seam else None,
        penalty=target(penalty, "loss.penalty") if penalty else None,
        mask=mask,
        views=seen,
        optimizer=made(described["optimizer"], "optimizer"),
        schedule=target(described["schedule"], "schedule"),
        flip=described["flip"],
        averaged=described["averaged"],
    )


def _part(node: dict[str, Any], name: str, key: str) -> Any:
    if name not in node:
        raise UserError(f"{key}.{name}: missing; it takes a _target_ and its options")
    return node[name]


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
    """Whether each of 64 test masks is one box of the window's size, less its visible band.

    Of a mixture, each part is asked: 64 masks may have none of a part with a small weight.
    """
    sample = np.asarray(held_out.frozen(mask, jnp.arange(64), size))[..., 0] > 0
    height, width = (side - 2 * views.band for side in views.window)
    parts = [mask.parts[name] for name in mask.used] if isinstance(mask, Mixture) else []
    return are_boxes(sample, height, width) and all(_fill_boxes(p, views, size) for p in parts)


def dataset(config: Config) -> Dataset:
    """The images of a configuration, opened once a process however many jobs ask for them.

    Splits that fit in memory are decoded.
    """
    return _dataset(json.dumps(config.dataset), config.image_size)


@functools.lru_cache(maxsize=2)
def _dataset(node_json: str, image_size: int) -> Dataset:
    opened: Dataset = made(json.loads(node_json), "dataset", image_size=image_size)
    return Dataset(opened.name, in_memory(opened.train), in_memory(opened.test))
