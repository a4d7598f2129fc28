"""The hole that somebody painted over in a copy of a photograph: where the two differ."""

import cv2
import numpy as np
from jaxtyping import UInt8

from ctxenc.errors import UserError
from ctxenc.inpainting import PixelMask
from ctxenc.inpainting.photographs import Photograph

# On 40 photographs of BSDS500 that JPEG encoded at qualities of 60 to 90 no such patch was left.
NOISE = 48  # of 255: the most that lossy encoders change nearly any pixel by
LEAST = 16  # pixels of a patch: fewer that differ by more are noise too
MOST = 0.5  # of the photograph


def read(photo: Photograph, copy: Photograph) -> tuple[PixelMask, str]:
    """The missing pixels, and in words what they are.

    A pixel is missing where a colour or the opacity differs. Where the copy's format is lossy, or
    more than half of all pixels differ, it has to by more than `NOISE`, with enough that touch it.

    Raises:
        UserError: of another size; nothing differs, or more than half does.
    """
    if copy.size != photo.size:
        raise UserError(f"{copy.size} pixels; expected {photo.size}, the photo's size")
    difference = _apart(photo.pixels, copy.pixels).max(axis=2)
    if photo.alpha is not None or copy.alpha is not None:
        opaque = np.full(difference.shape, 255, np.uint8)
        alpha, other = (opaque if one.alpha is None else one.alpha for one in (photo, copy))
        seen = (alpha > 0) | (other > 0)
        difference = np.where(seen, np.maximum(difference, _apart(alpha, other)), 0)
    missing, rule = difference > 0, "pixels that differ from the photo"
    if copy.lossy or missing.mean() > MOST:
        missing = _patches(difference > NOISE)
        rule = f"patches of {LEAST} or more pixels that differ by more than {NOISE} of 255"
    if not missing.any():
        raise UserError(
            f"nothing is painted over: there are no {rule} (the most is {difference.max()}); "
            "expected a copy of the photo with the hole in another colour"
        )
    if missing.mean() > MOST:
        raise UserError(
            f"{missing.mean():.0%} of it are {rule}; expected a copy of the photo of which at most "
            "half is painted over (--mask takes larger holes)"
        )
    return missing, rule


def _apart(
    one: UInt8[np.ndarray, "height width *c"], other: UInt8[np.ndarray, "height width *d"]
) -> UInt8[np.ndarray, "height width *e"]:
    return np.maximum(one, other) - np.minimum(one, other)


def _patches(differs: PixelMask) -> PixelMask:
    """Without groups (8 neighbours) of fewer than `LEAST` pixels."""
    _, labels, found, _ = cv2.connectedComponentsWithStats(differs.view(np.uint8), connectivity=8)
    large = found[:, cv2.CC_STAT_AREA] >= LEAST
    large[0] = False  # what does not differ
    return np.asarray(large[labels])
