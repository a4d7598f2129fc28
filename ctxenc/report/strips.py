"""A photograph before, with its holes, and after, side by side."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

GAP = 8  # pixels of white between the three
LONGEST = 1024  # pixels: larger photographs are shown smaller


def strip(
    before: UInt8[np.ndarray, "height width c"],
    missing: Bool[np.ndarray, "height width"],
    after: UInt8[np.ndarray, "height width c"],
    colour: Float[np.ndarray, " 3"],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The three as one RGB picture, missing pixels in `colour` (0 to 255) in the second."""
    height, width = missing.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))

    def small(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image

    def rgb(image: np.ndarray) -> np.ndarray:
        small_image = small(image).reshape(size[1], size[0], -1)
        return np.broadcast_to(small_image, (size[1], size[0], 3))

    holes = small(missing.astype(np.uint8) * 255)[..., None] >= 128
    masked = np.where(holes, np.round(colour).astype(np.uint8), rgb(before))
    gap = np.full((size[1], GAP, 3), 255, np.uint8)
    return np.concatenate([rgb(before), gap, masked, gap, rgb(after)], axis=1)
