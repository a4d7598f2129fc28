"""Sizes that nobody chose yield to a small data set; those that were chosen are refused."""

import dataclasses
import logging
from typing import Any

import jax

from ctxenc.config import schema
from ctxenc.config.schema import Config
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError

log = logging.getLogger(__name__)


def shrunk_to(config: Config, dataset: Dataset) -> Config:
    """The configuration with sizes that nobody chose made as small as a small data set needs.

    Raises:
        UserError: sizes that were chosen, and are too large; all of them.
    """
    train, validation = len(dataset.train), len(dataset.validation)
    most = {
        "batch_size": (train // jax.device_count() * jax.device_count(), f"{train} training"),
        "num_img": (validation, f"{validation} validation"),
    }
    smaller: dict[str, Any] = {}
    refused: list[str] = []
    for name, (size, images) in most.items():
        if (chosen := getattr(config, name)) <= size:
            continue
        if size and chosen == schema.fields()[name].default:
            log.warning("%s=%d, and not %d: there are %s images", name, size, chosen, images)
            smaller[name] = size
        else:
            refused.append(f"{name}={chosen}: expected 1 to {size}, as there are {images} images")
    if refused:
        raise UserError("; ".join(refused))
    return dataclasses.replace(config, **smaller)
