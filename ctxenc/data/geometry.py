"""From a photograph of any size to a square of the size that is trained on."""

import numpy as np
from jaxtyping import UInt8

LONGEST = 8  # short sides: the ends of a longer picture are left out, so that memory is bounded

Place = tuple[float, float]
"""Where a square is cut out: 0 is the top (the left edge), and just below 1 the bottom (right)."""
CENTRE: Place = 0.499999, 0.499999  # of two places next to the middle, the upper (left) one


def square(
    image: UInt8[np.ndarray, "height width 3"],
    size: int,
    short_side: int | None = None,
    place: Place = CENTRE,
) -> UInt8[np.ndarray, "size size 3"]:
    """A square of `size` pixels.

    Where the image shrinks, by area averages, so that fine detail does not alias; where it grows,
    by cubic interpolation.

    Args:
        image: of any size.
        size: of the square.
        short_side: the image's short side when the square is cut out of it, in pixels, at least
            `size`: Pathak et al. cut 128 out of 350. None resizes the largest square.
        place: where the square is cut out.
    """
    import cv2  # takes 0.1 s, which images in memory need not spend

    shorter, least = min(image.shape[:2]), short_side or size
    longest = shorter * (LONGEST if short_side else 1)
    top, left = [max(0, side - longest) // 2 for side in image.shape[:2]]
    image = image[top : top + longest, left : left + longest]
    scale = least / shorter
    height, width = [max(least, round(side * scale)) for side in image.shape[:2]]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
    top, left = [
        int(at * (side - size + 1)) for at, side in zip(place, (height, width), strict=True)
    ]
    return image[top : top + size, left : left + size]
