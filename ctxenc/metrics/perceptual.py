"""How a fill looks, beyond its errors pixel by pixel: how sharp it is, and how its patches vary.

Errors on pixels favour the blurred average of everything that could be in the hole. These figures
see that, and neither knows whether the right thing is there: read them beside the errors.
``docs/metrics.md`` says what each can and cannot tell.
"""

import functools
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PATCH = 7  # pixels, as in Karras et al.; smaller where the hole is
DIRECTIONS = 256
PATCHES = 40_000  # at most so many a level are compared, unless there are more images

_AT_ONCE = 64  # directions


def gradient_magnitude(
    images: Float[Array, "batch height width 3"], mask: Float[Array, "batch height width 1"]
) -> Float[Array, " batch"]:
    """Each image's mean gradient magnitude within its hole, in units of the images' a pixel.

    The gradient is of forward differences, taken where the pixel, its right and its lower
    neighbour are all missing: what the fill and its surroundings differ by is not in it. NaN where
    there is no such pixel: the hole is one pixel high or wide, or only thin strokes are missing.
    """
    down = (images[:, 1:] - images[:, :-1])[:, :, :-1]
    right = (images[:, :, 1:] - images[:, :, :-1])[:, :-1]
    inside = (mask[:, :-1, :-1] > 0) & (mask[:, 1:, :-1] > 0) & (mask[:, :-1, 1:] > 0)
    magnitude = jnp.sqrt(jnp.square(down) + jnp.square(right)) * inside
    return magnitude.sum((1, 2, 3)) / (inside.sum((1, 2, 3)) * images.shape[-1])


def pyramid(
    images: Float[np.ndarray, "n height width 3"], smallest: int = PATCH
) -> list[Float[np.ndarray, "n h w 3"]]:
    """The Laplacian pyramid of Burt and Adelson (1983), finest level first.

    Each level is what the next coarser one, enlarged, misses of the image; the last is what is
    left. Levels are halved while both sides stay at least `smallest`.
    """
    levels = []
    while min(images.shape[1:3]) >= 2 * smallest:
        rows, columns = (_halve(size) for size in images.shape[1:3])
        coarse = _along_both(images, rows, columns)
        rows, columns = (_double(size) for size in images.shape[1:3])
        levels.append(images - _along_both(coarse, rows, columns))
        images = coarse
    return [*levels, images]


def patches(
    level: Float[np.ndarray, "n height width 3"], per_image: int, rng: np.random.Generator
) -> Float[np.ndarray, "n*per_image patch*patch 3"]:
    """`per_image` square patches of each image, at random places that may repeat."""
    count, height, width, _ = level.shape
    size = min(PATCH, height, width)
    windows = np.lib.stride_tricks.sliding_window_view(level, (size, size), axis=(1, 2))
    top = rng.integers(0, height - size + 1, (count, per_image))
    left = rng.integers(0, width - size + 1, (count, per_image))
    picked = windows[np.arange(count)[:, None], top, left]  # (n, per_image, 3, size, size)
    return np.moveaxis(picked.reshape(count * per_image, 3, size * size), 1, 2)


class Sliced:
    """The sliced Wasserstein distance to one set of patches, times 1,000.

    As in progressive GANs (Karras et al., 2018): patches are points, normalised by channel; along
    a random direction the earth mover's distance is that of the sorted projections; the result is
    the mean over directions. Unlike there, both sets are normalised by the real one's mean and
    standard deviation, so that a fill which is too flat or of another colour is not forgiven.
    """

    def __init__(
        self,
        real: Float[np.ndarray, "n pixels 3"],
        *,
        directions: int = DIRECTIONS,
        seed: int = 0,
    ):
        self._mean, self._deviation = real.mean((0, 1)), real.std((0, 1)) + 1e-8
        axes = np.random.default_rng(seed).standard_normal((directions, real[0].size))
        self._axes = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).astype(np.float32)
        self._real = list(self._sorted(real))

    def to(self, fake: Float[np.ndarray, "n pixels 3"]) -> float:
        """The distance of as many other patches."""
        pairs = zip(self._real, self._sorted(fake), strict=True)
        total = sum(np.abs(a - b).mean(axis=1, dtype=np.float64).sum() for a, b in pairs)
        return 1000 * float(total) / len(self._axes)

    def _sorted(
        self, patches: Float[np.ndarray, "n pixels 3"]
    ) -> Iterator[Float[np.ndarray, "directions n"]]:
        """Sorted projections, some directions at a time."""
        points = ((patches - self._mean) / self._deviation).reshape(len(patches), -1)
        points = points.astype(np.float32, copy=False)
        for start in range(0, len(self._axes), _AT_ONCE):
            projected = self._axes[start : start + _AT_ONCE] @ points.T
            projected.sort(axis=1)
            yield projected


def _along_both(
    images: Float[np.ndarray, "n height width 3"],
    rows: Float[np.ndarray, "h height"],
    columns: Float[np.ndarray, "w width"],
) -> Float[np.ndarray, "n h w 3"]:
    return np.einsum("yh,nhwc,xw->nyxc", rows, images, columns, optimize=True)


@functools.lru_cache(maxsize=16)
def _halve(size: int) -> Float[np.ndarray, "half size"]:
    """Burt and Adelson's blur along one axis, mirrored at the border; then every other pixel."""
    return _blur(size)[::2]


@functools.lru_cache(maxsize=16)
def _double(size: int) -> Float[np.ndarray, "size half"]:
    """To `size` pixels: zeros between the coarse ones, then the blur, doubled to make up."""
    return 2 * _blur(size)[:, ::2]


def _blur(size: int) -> Float[np.ndarray, "size size"]:
    padded = np.pad(np.arange(size), 2, mode="reflect")
    matrix = np.zeros((size, size), np.float32)
    for row in range(size):
        np.add.at(matrix[row], padded[row : row + 5], np.array([1, 4, 6, 4, 1]) / 16)
    return matrix
