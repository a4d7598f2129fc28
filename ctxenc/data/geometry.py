"""From a photograph of any size to a square of the size that is trained on."""

import cv2
import numpy as np
from jaxtyping import UInt8

LONGEST = 8  # short sides: the ends of a longer picture are left out, so that memory is bounded

Place = tuple[float, float]
"""Where a square is cut out: 0 is the top (the left edge), and just below 1 the bottom (right)."""


def square(
    image: UInt8[np.ndarray, "height width 3"],
    size: int,
    *,
    short_side: int | None = None,
    place: Place | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """A square of the image.

    Args:
        image: of any size.
        size: of the square, in pixels.
        short_side: the image's short side when the square is cut out of it, in pixels, at least
            `size`: Pathak et al.'s way, with 128 of 350. None resizes the largest central square.
        place: where the square is cut out; None for the centre.
    """
    if image.shape[:2] == (size, size) and short_side is None:
        return image
    least = short_side or size
    longest = min(image.shape[:2]) * (LONGEST if short_side else 1)
    top, left = [max(0, side - longest) // 2 for side in image.shape[:2]]
    image = image[top : top + longest, left : left + longest]
    image = resize(image, least / min(image.shape[:2]), at_least=least)
    spare = [side - size for side in image.shape[:2]]
    if place is None:
        top, left = [pixels // 2 for pixels in spare]
    else:
        top, left = [int(at * (pixels + 1)) for at, pixels in zip(place, spare, strict=True)]
    return image[top : top + size, left : left + size]


def resize(
    image: UInt8[np.ndarray, "height width 3"], scale: float, *, at_least: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """The image scaled by a factor; neither side becomes smaller than `at_least`.

    Area averaging where it shrinks, so that fine detail does not alias; cubic where it grows.
    """
    height, width = [max(at_least, round(side * scale)) for side in image.shape[:2]]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
