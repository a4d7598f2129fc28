"""Random regions of arbitrary shape: the mask of the paper's random-region model.

The authors' code enlarges U(0, 1) noise from 600 × 600 to 10,000 × 10,000 pixels bicubically, calls
a pixel missing where it is below 0.25, and takes random crops until one of 128 × 128 has 20 to 30 %
missing: one crop per batch, which spans 7.7 cells of that noise. Here every image has its own, and
cells grow with the image, so that 31 % of all crops are accepted at every size. The cubic is that
of OpenCV and PyTorch (a = -0.75); with Torch 7's (a = -0.5) 22 % would be.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask, areas

TRIES = 32  # crops of an image; none of them is accepted once in 150,000 images
PHASES = 16  # positions of a crop within a cell, along each axis
CUBIC = -0.75


def noise_region(
    key: PRNGKeyArray,
    batch: int,
    height: int,
    width: int,
    *,
    min_area: float,
    max_area: float,
    density: float,
    cell: float,
) -> Mask:
    """Where smooth noise is below `density`: each image's first crop with an area within bounds.

    An image whose crops are all outside gets one more, with a threshold that gives it an area
    drawn at random within the bounds.

    Raises:
        UserError: No area is within the bounds, or an option is out of its range.
    """
    within = areas.bounds(min_area, max_area, height, width)
    areas.check_range(0, 1, density=density)
    pixels = cell * min(height, width)
    if not (pixels >= 1 and cell <= 1):
        least = math.ceil(1000 / min(height, width)) / 1000
        raise UserError(
            f"mask.cell={cell:g}: expected a number from {least:g} to 1, as cells have a pixel of "
            f"{height} × {width} or more"
        )
    noise = functools.partial(smooth_noise, batch=batch, height=height, width=width, cell=pixels)
    key_tries, key_last, key_area = jax.random.split(key, 3)
    missing, done = areas.first_within(lambda k: noise(k) < density, key_tries, within, TRIES)
    score = noise(key_last) + 1.0  # cubics go below 0
    return areas.with_lowest(missing, done, score, within.draw(key_area, batch))


def smooth_noise(
    key: PRNGKeyArray, batch: int, height: int, width: int, cell: float
) -> Float[Array, "batch height width"]:
    """U(0, 1) noise with cells of `cell` pixels, enlarged bicubically, at random positions.

    The noise has 256 levels and the weights are multiples of 1/128, so every sum is exact in
    float32: a mask depends neither on the machine nor on the batch that it is drawn in.
    """
    rows, columns = _weights(height, cell), _weights(width, cell)
    tall, wide = rows.shape[2], columns.shape[2]
    bits = jax.random.bits(key, (batch, tall * wide + 2), jnp.uint8)
    noise = bits[:, 2:].reshape(batch, tall, wide).astype(jnp.float32) / 256
    at, exact = bits[:, :2] % PHASES, jax.lax.Precision.HIGHEST
    enlarged = jnp.einsum("bhi,bij->bhj", jnp.asarray(rows)[at[:, 0]], noise, precision=exact)
    return jnp.einsum("bhj,bwj->bhw", enlarged, jnp.asarray(columns)[at[:, 1]], precision=exact)


@functools.lru_cache(maxsize=16)
def _weights(size: int, cell: float) -> Float[np.ndarray, "phases size nodes"]:
    """How much each node of the noise counts at each pixel, for each position within a cell."""
    at = np.arange(size) / cell + np.arange(PHASES)[:, None] / PHASES + 1
    nodes = int(at.max()) + 3  # cubics reach one node back and two ahead
    x = np.abs(at[..., None] - np.arange(nodes))
    near = (CUBIC + 2) * x**3 - (CUBIC + 3) * x**2 + 1
    far = CUBIC * (x**3 - 5 * x**2 + 8 * x - 4)
    weights = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    return (np.round(weights * 128) / 128).astype(np.float32)
