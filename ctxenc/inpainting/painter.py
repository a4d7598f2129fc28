"""A trained model as Python takes it: ``ctxenc.load(RUN).fill(image, mask)``."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from ctxenc import features, masks
from ctxenc.data.images import square
from ctxenc.errors import UserError
from ctxenc.inpainting.filling import inpaint
from ctxenc.state import Model, Variables
from ctxenc.trained import TrainedModel

Image = (
    UInt8[np.ndarray, "height width"]
    | UInt8[np.ndarray, "height width channels"]
    | Float[np.ndarray, "height width"]
    | Float[np.ndarray, "height width channels"]
)
# Of sizes that differ: a named axis would be one size for all.
Photos = Sequence[
    UInt8[np.ndarray, "_ _"]
    | UInt8[np.ndarray, "_ _ _"]
    | Float[np.ndarray, "_ _"]
    | Float[np.ndarray, "_ _ _"]
]


@dataclass(frozen=True)
class Painter:
    """A trained generator that fills holes in images of any size, and its encoder."""

    trained: TrainedModel

    def fill(self, image: Image, mask: Shaped[np.ndarray, "rows columns"]) -> Image:
        """The image with its hole filled, as `ctxenc.inpaint` does it.

        Args:
            image: grey, or RGB in its last axis: whole numbers from 0 to 255, or floats from 0 to
                1. Of floats the model sees the nearest of 256 levels.
            mask: True, or 1, where a pixel is missing.

        Returns:
            A new array of the image's shape and type; pixels that are not missing are the same.

        Raises:
            UserError: another shape, type or range; a mask that is empty, or covers all there is.
        """
        missing = _missing(mask, image.shape)
        pixels = _pixels(image)
        filled, _ = inpaint(self.trained, _levels(pixels), missing)
        result = pixels.copy()
        result[missing] = filled[missing] if image.dtype == np.uint8 else filled[missing] / 255
        return result.reshape(image.shape)

    def features(
        self, images: Photos | Shaped[np.ndarray, "n ..."], stage: str | None = None
    ) -> dict[str, Float[np.ndarray, "n _ _ _"]] | Float[np.ndarray, "n _ _ _"]:
        """What the encoder sees in images that are shown whole: the maps after its stages.

        Args:
            images: of any sizes, each as `fill` takes them; the central square of each is resized
                to the model's.
            stage: the name of one; None for all.

        Returns:
            The maps of each stage by its name, first to last, or those of the one.

        Raises:
            UserError: another shape, type or range; no such stage, or a network that names none.
        """
        model, variables = self.trained.model, self.trained.variables
        size = self.trained.config.image_size
        names = features.names(model, variables, size)
        if stage not in (None, *names):
            raise UserError(f"stage={stage}: no such stage; expected one of {', '.join(names)}")
        levels = [_levels(_pixels(image)) for image in images]
        seen = np.stack([square(np.broadcast_to(x, (*x.shape[:2], 3)), size) for x in levels])
        found = jax.device_get(
            _stages(model, variables, seen, names if stage is None else (stage,))
        )
        return found[stage] if stage is not None else {name: found[name] for name in names}


@functools.partial(jax.jit, static_argnums=(0, 3))
def _stages(
    model: Model, variables: Variables, images: Any, wanted: tuple[str, ...]
) -> features.Maps:
    found = features.stages(model, variables, masks.to_float(images))
    return {name: found[name].astype(jnp.float32) for name in wanted}


def load(run: str | os.PathLike[str], checkpoint: str = "best", *, raw: bool = False) -> Painter:
    """The trained model of a run folder.

    Args:
        run: the folder.
        checkpoint: ``best`` by validation, ``latest``, or the number of a saved step.
        raw: the weights as the last step left them, also where an average was kept.

    Raises:
        UserError: not a run folder, no such checkpoint, or a damaged one.
    """
    return Painter(TrainedModel.load(os.fspath(run), checkpoint, raw=raw))


def _missing(mask: np.ndarray, shape: tuple[int, ...]) -> Bool[np.ndarray, "height width"]:
    if mask.shape != shape[:2]:
        raise UserError(f"mask: expected {shape[:2]}, as the image has, got {mask.shape}")
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise UserError(
            "mask: expected True or 1 where a pixel is missing, and False or 0 elsewhere"
        )
    return mask.astype(bool)


def _pixels(image: Image) -> Image:
    """With an axis of channels."""
    if image.ndim == 2:
        return image[..., None]
    if image.ndim == 3 and image.shape[2] in (1, 3):
        return image
    raise UserError(f"image: expected (height, width) or (height, width, 3), got {image.shape}")


def _levels(pixels: Image) -> UInt8[np.ndarray, "height width channels"]:
    """Of floats the nearest of 256 levels."""
    if pixels.dtype == np.uint8:
        return pixels
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise UserError("image: expected floats from 0 to 1, or whole numbers of type uint8")
    return np.round(pixels * 255).astype(np.uint8)
