"""OpenCV's two inpainting methods."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ctxenc.baselines.contract import Composites, Images, Missing, to_float

RADIUS = 3  # pixels: OpenCV's own example and most papers take this


def telea(images: Images, missing: Missing) -> Composites:
    """Fast marching (Telea, 2004)."""
    import cv2  # an eighth of a second, which other programs need not spend

    return _inpainted(images, missing, cv2.INPAINT_TELEA)


def navier_stokes(images: Images, missing: Missing) -> Composites:
    """Isophotes carried into the hole (Bertalmio et al., 2001)."""
    import cv2

    return _inpainted(images, missing, cv2.INPAINT_NS)


def _inpainted(images: Images, missing: Missing, method: int) -> Composites:
    import cv2

    filled = images.copy()

    def fill(index: int) -> None:
        image, hole = filled[index], missing[index]
        # Covered, since OpenCV 5.0 reads missing pixels where a hole touches the border.
        image[hole] = np.round(image[~hole].mean(axis=0))
        filled[index] = cv2.inpaint(image, hole.astype(np.uint8), RADIUS, method)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV lets go of the interpreter
        list(pool.map(fill, range(len(images))))
    return to_float(filled)
