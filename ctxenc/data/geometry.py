"""One way from a photograph of any size to a square of the size that is trained on."""

import cv2
import numpy as np
from jaxtyping import UInt8


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


def resize(
    image: UInt8[np.ndarray, "height width 3"], scale: float, *, at_least: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """The image scaled by a factor; neither side becomes smaller than `at_least`."""
    height, width = (max(at_least, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
