"""A trained model as Python takes it: ``ctxenc.load(RUN).fill(image, mask)``."""

import os
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from ctxenc.errors import UserError
from ctxenc.inpainting.filling import inpaint
from ctxenc.trained import TrainedModel

Image = (
    UInt8[np.ndarray, "height width"]
    | UInt8[np.ndarray, "height width channels"]
    | Float[np.ndarray, "height width"]
    | Float[np.ndarray, "height width channels"]
)


@dataclass(frozen=True)
class Painter:
    """A trained generator that fills holes in images of any size."""

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
            UserError: another shape, type or range; a mask that is empty, or covers all there is;
                a hole that is larger than the model can see.
        """
        missing = _missing(mask, image.shape)
        if image.ndim == 2:
            pixels = image[..., None]
        elif image.ndim == 3 and image.shape[2] in (1, 3):
            pixels = image
        else:
            raise UserError(
                f"image: expected (height, width) or (height, width, 3), got {image.shape}"
            )
        if image.dtype == np.uint8:
            levels = pixels
        elif not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise UserError("image: expected floats from 0 to 1, or whole numbers of type uint8")
        else:
            levels = np.round(pixels * 255).astype(np.uint8)
        filled, _ = inpaint(self.trained, levels, missing)
        result = pixels.copy()
        result[missing] = filled[missing] if image.dtype == np.uint8 else filled[missing] / 255
        return result.reshape(image.shape)


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
