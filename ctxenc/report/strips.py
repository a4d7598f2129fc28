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
    scale = min(1.0, LONGEST / max(missing.shape))
    height, width = (max(1, round(side * scale)) for side in missing.shape)

    def small(image: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return np.broadcast_to(resized.reshape(height, width, -1), (height, width, 3))

    holes = small(missing.astype(np.uint8) * 255) >= 128
    masked = np.where(holes, np.round(colour).astype(np.uint8), small(before))
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.concatenate([small(before), gap, masked, gap, small(after)], axis=1)
