"""A fill that meets its surroundings: seamless cloning, and a thin feather at full resolution.

Pérez, Gangnet and Blake, "Poisson Image Editing" (2003): the fill keeps its own gradients and
takes the surroundings' colours at its border. What is added to it is the membrane (harmonic)
interpolation of the difference at the border.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

LEAST_PULL = 1e-6  # keeps a shape without any border solvable; its membrane is then 0
WIDEST_FEATHER = 256.0  # pixels: bounds the memory


def membrane(
    difference: Float[np.ndarray, "height width c"],
    inside: Bool[np.ndarray, "height width"],
    border: Bool[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width c"]:
    """The harmonic function on `inside` that has the values of `difference` on `border`.

    Pixels that are neither pull nothing (a free boundary). The result is 0 outside `inside`.
    """
    # Not at the top: it is slow to import, and a program's --help does not need it.
    from scipy import sparse
    from scipy.sparse.linalg import splu

    height, width = inside.shape
    count = int(inside.sum())
    result = np.zeros(difference.shape, np.float32)
    if not count:
        return result
    number = np.full((height + 2, width + 2), -1)
    number[1:-1, 1:-1][inside] = np.arange(count)
    value = np.pad(difference, ((1, 1), (1, 1), (0, 0)))
    fixed = np.pad(border & ~inside, 1)
    y, x = np.nonzero(np.pad(inside, 1))
    diagonal = np.full(count, LEAST_PULL)
    right = np.zeros((count, difference.shape[2]))
    pairs = []
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside = y + dy, x + dx
        free, pulled = number[beside] >= 0, fixed[beside]
        diagonal += free | pulled
        right[pulled] += value[beside][pulled]
        pairs.append((np.flatnonzero(free), number[beside][free]))
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    minus = sparse.coo_array((-np.ones(len(rows)), (rows, columns)), shape=(count, count))
    result[inside] = splu((minus + sparse.diags_array(diagonal)).tocsc()).solve(right)
    return result


def feather_widths(scale: float) -> tuple[float, ...]:
    """How far the feathers reach into the hole, in pixels: a model pixel, then a quarter of one.

    On 40 photographs of BSDS500 the two gave more PSNR, and less of a step at the hole's edge,
    than one of any width.
    """
    widest = min(max(scale, 1.0), WIDEST_FEATHER)
    return widest, max(widest / 4, 1.0)


def feather(
    fill: Float[np.ndarray, "height width c"],
    photo: Float[np.ndarray, "height width c"],
    missing: Bool[np.ndarray, "height width"],
    known: Bool[np.ndarray, "height width"],
    width: float,
) -> Float[np.ndarray, "height width c"]:
    """The fill with the detail that it lacks just outside the hole carried a little way into it.

    The difference between photograph and fill on the `known` pixels, averaged by a Gaussian over
    those within reach, is added with a weight that falls to 0 at `width` pixels from the edge.
    """
    there = known.astype(np.float32)[..., None]
    weight, spread = (_blur(part, width / 2) for part in (there, (photo - fill) * there))
    depth = cv2.distanceTransform(missing.astype(np.uint8), cv2.DIST_L2, 5)[..., None]
    strength = np.clip(1 - depth / (width + 1), 0, 1) * (weight > 1e-3)
    return fill + spread * (strength / np.maximum(weight, 1e-3))


def _blur(
    image: Float[np.ndarray, "height width c"], sigma: float
) -> Float[np.ndarray, "height width c"]:
    """A Gaussian blur, with zeros beyond the edge; wide ones on fewer pixels, which nobody sees."""
    height, width, channels = image.shape
    times = max(1, int(sigma / 4))
    small = (-(-width // times), -(-height // times))
    if times > 1:
        padding = (0, small[1] * times - height, 0, small[0] * times - width)
        image = cv2.copyMakeBorder(image, *padding, cv2.BORDER_CONSTANT, value=0)
        full = image.shape[1], image.shape[0]
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), sigma / times, borderType=cv2.BORDER_CONSTANT)
    if times > 1:
        image = cv2.resize(image, full, interpolation=cv2.INTER_LINEAR)
    return image.reshape(*image.shape[:2], channels)[:height, :width]
