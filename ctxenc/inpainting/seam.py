"""A fill that meets its surroundings: seamless cloning, and a thin feather at full resolution.

Pérez, Gangnet and Blake, "Poisson Image Editing" (2003): the fill keeps its own gradients and
takes the surroundings' colours at its border. What is added to it is the membrane (harmonic)
interpolation of the difference at the border.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from ctxenc.baselines.fills import Laplace

WIDEST_FEATHER = 256  # pixels: bounds the memory


def membrane(
    difference: Float[np.ndarray, "height width c"], known: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width c"]:
    """The difference where it is known, and in between the harmonic function that continues it.

    Args:
        difference: of photograph and fill.
        known: where it is: somewhere, and not everywhere.
    """
    whole = difference.copy()
    whole[~known] = Laplace(~known).solve(difference.reshape(known.size, -1))
    return whole


def feather_widths(scale: float) -> tuple[int, int]:
    """How far the feathers reach into the hole, in pixels: 0.7 model pixels, then a quarter of it.

    On 40 photographs of BSDS500 two feathers gave more PSNR, and less of a step at the hole's edge,
    than one of any width. Those were Gaussian, of 1 and 1/4 model pixels; in 80 holes of two other
    photographs these give 0.01 dB less and the same step.

    Args:
        scale: photograph pixels to a model pixel.
    """
    widest = round(min(max(0.7 * scale, 1), WIDEST_FEATHER))
    return widest, max(round(widest / 4), 1)


def feather(
    fill: Float[np.ndarray, "height width c"],
    photo: Float[np.ndarray, "height width c"],
    missing: Bool[np.ndarray, "height width"],
    known: Bool[np.ndarray, "height width"],
    width: int,
) -> Float[np.ndarray, "height width c"]:
    """The fill with the detail that it lacks just outside the hole carried a little way into it.

    The difference between photograph and fill on the `known` pixels, averaged over those at most
    `width` pixels away, is added with a weight that falls to 0 at `width` pixels from the edge. The
    average is OpenCV's stackBlur: near a Gaussian, and as fast where it is wide.
    """
    there = known.astype(np.float32)[..., None]
    kernel = 2 * width + 1, 2 * width + 1
    blurred = cv2.stackBlur(np.concatenate([there, (photo - fill) * there], axis=2), kernel)
    weight, spread = blurred[..., :1], blurred[..., 1:]
    depth = cv2.distanceTransform(missing.astype(np.uint8), cv2.DIST_L2, 5)[..., None]
    strength = np.clip(1 - depth / (width + 1), 0, 1) * (weight > 1e-3)
    return fill + spread * (strength / np.maximum(weight, 1e-3))
