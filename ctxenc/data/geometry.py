"""One way from a photograph of any size to a square of the size that is trained on."""

import cv2
import numpy as np
from jaxtyping import UInt8

LONGEST = 8  # short sides: the ends of a longer picture are left out, so that memory is bounded

Place = tuple[float, float]
"""Where a part is cut: how far down and how far right of all the ways there are, in [0, 1)."""


def square(
    image: UInt8[np.ndarray, "height width 3"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The image's central square, resized to `size`.

    Area averaging where it shrinks, so that fine detail does not alias; cubic where it grows.
    """
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    centre = image[top : top + side, left : left + side]
    return centre if side == size else resize(centre, size / side, at_least=size)


def part(
    image: UInt8[np.ndarray, "height width 3"],
    size: int,
    *,
    short_side: int,
    place: Place | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """A square cut out of the image once it is resized: Pathak et al.'s way, with 128 of 350.

    Args:
        image: of any size.
        size: of the square, in pixels.
        short_side: the image's short side once resized, in pixels; at least `size`.
        place: where the square is cut; None for the centre.
    """
    longest = LONGEST * min(image.shape[:2])
    top, left = (max(0, side - longest) // 2 for side in image.shape[:2])
    image = image[top : top + longest, left : left + longest]
    image = resize(image, short_side / min(image.shape[:2]), at_least=short_side)
    ways = [side - size for side in image.shape[:2]]
    if place is None:
        top, left = (way // 2 for way in ways)
    else:
        top, left = (int(share * (way + 1)) for share, way in zip(place, ways, strict=True))
    return image[top : top + size, left : left + size]


def resize(
    image: UInt8[np.ndarray, "height width 3"], scale: float, *, at_least: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """The image scaled by a factor; neither side becomes smaller than `at_least`."""
    height, width = (max(at_least, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
