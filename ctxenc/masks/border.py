"""Outpainting: the frame is missing, and the middle of the image is all that is seen."""

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask
from ctxenc.masks.boxes import boxes


def frame(key: PRNGKeyArray, batch: int, height: int, width: int, *, visible: float) -> Mask:
    """All of every image is missing but a box in its middle; `key` is not used.

    The box's height and width are `visible` times the image's, rounded to whole pixels.

    Raises:
        UserError: Nothing would be visible, or nothing missing.
    """
    del key
    h, w = (round(visible * size) if 0 < visible < 1 else 0 for size in (height, width))
    if min(h, w) < 1 or (h, w) == (height, width):
        raise UserError(
            f"mask.visible={visible:g}: expected a number between 0 and 1 that leaves something "
            f"visible and something missing of {height} × {width} pixels"
        )
    top, left = jnp.full((batch,), (height - h) // 2), jnp.full((batch,), (width - w) // 2)
    return 1.0 - boxes(top, left, h, w, height, width)
