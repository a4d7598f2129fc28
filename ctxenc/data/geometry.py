"""One way from a photograph of any size to a square of the size that is trained on."""

import cv2
import numpy as np
from jaxtyping import UInt8


def square(
    image: UInt8[np.ndarray, "height width 3"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The image's short side resized to `size`, and the centre cropped.

    Area averaging where it shrinks, so that fine detail does not alias; cubic where it grows.
    """
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    image = resize(image, size / min(height, width), at_least=size)
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


def resize(
    image: UInt8[np.ndarray, "height width 3"], scale: float, *, at_least: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """The image scaled by a factor; neither side becomes smaller than `at_least`."""
    height, width = (max(at_least, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
