"""Images with classes to probe an encoder on: a run's own, or others."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import as_typed
from ctxenc.data.images import Dataset, Images, fingerprint
from ctxenc.data.labels import Labels, labels_of
from ctxenc.errors import UserError
from ctxenc.evaluation.load import check_held_out, named, overridden
from ctxenc.parallel import devices
from ctxenc.trained import TrainedModel

KEYS = ("batch_size", "image_size", "dataset")  # that a probe may change


@dataclass(frozen=True)
class Split:
    """Some images and the class of each."""

    images: Images
    numbers: Int[np.ndarray, " images"]


@dataclass(frozen=True)
class Labelled:
    """The three splits of a dataset and the names of its classes; `name` says which images."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    image_size: int
    batch_size: int

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """What is known of them, as ``metrics.json`` has it."""
        splits = {name: getattr(self, name).images for name in build.SPLITS}
        counts = {f"{name}_images": len(images) for name, images in splits.items()}
        prints = {f"{name}_fingerprint": fingerprint(images) for name, images in splits.items()}
        own = {"image_size": self.image_size, "classes": list(self.classes)}
        return {"name": self.name, **own, **counts, **prints}


def load(trained: TrainedModel, overrides: Sequence[str]) -> tuple[Labelled, str, dict[str, Any]]:
    """A run's own images with their classes, where no override says else.

    Returns (the images, the probe's name, the dataset's configuration).

    Raises:
        UserError: an override of another key than `KEYS`, or images without classes, of one class,
            or of a class that is missing in a split.
    """
    overrides = as_typed(overrides, trained.saved)
    composed = overridden(trained.saved, overrides, KEYS)
    config = check(composed)
    devices.check_batch(config.batch_size)
    dataset = build.dataset(config, "validation", "test")
    check_held_out(trained.config.dataset, config.dataset)
    images = labelled(dataset, config.image_size, config.batch_size)
    return images, named(composed, overrides, ["dataset"]), config.dataset


@functools.lru_cache(maxsize=2)  # for all runs of a sweep
def labelled(dataset: Dataset, image_size: int, batch_size: int) -> Labelled:
    """The splits of a dataset with their classes, each of which has images in each split."""
    found: dict[str, Labels] = {}
    for split in build.SPLITS:
        found[split] = labels_of(getattr(dataset, split), f"dataset ({split} split)")
    names = found["train"].names
    there = {split: np.bincount(of.numbers, minlength=len(names)) for split, of in found.items()}
    if len(names) < 2:
        raise UserError(f"dataset: one class, {', '.join(names)}; expected two or more")
    for split, counts in there.items():
        if empty := [name for name, count in zip(names, counts, strict=True) if not count]:
            raise UserError(
                f"dataset: no {split} images of class {empty[0]}; expected some of each of the "
                f"{len(names)} classes in each split"
            )
    splits = {s: Split(getattr(dataset, s), of.numbers) for s, of in found.items()}
    return Labelled(
        dataset.name, **splits, classes=names, image_size=image_size, batch_size=batch_size
    )
