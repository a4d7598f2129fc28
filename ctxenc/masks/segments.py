"""Shapes pasted from segmentation maps: the paper's region masks.

The paper takes them from PASCAL VOC, deforms them and pastes them at random places, up to a quarter
of the image, without regard to what the image shows there.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ctxenc.data.label_maps import SIDE, read_shapes
from ctxenc.masks import Mask, areas

PASTES = 64  # the most shapes of an image


class Segments:
    """Random shapes of a folder, scaled, flipped, placed and cropped, until an area is reached.

    For each image an area within bounds is drawn, and shapes are pasted until it is reached; the
    image's edges crop them. The one that would go beyond `max_area` is cropped along a random
    straight line, so that the area is the one that was drawn. The folder is read once, when the
    strategy is made: see `ctxenc.data.label_maps.read_shapes`.

    Raises:
        UserError: There are no shapes in the folder, or an option is out of its range.
    """

    def __init__(
        self, *, folder: str, min_area: float, max_area: float, min_size: float, max_size: float
    ) -> None:
        areas.check_range(0.01, 2, min_size=min_size, max_size=max_size)
        self.min_area, self.max_area = min_area, max_area
        self.min_size, self.max_size = min_size, max_size
        self.shapes = read_shapes(folder)

    def __call__(self, key: PRNGKeyArray, batch: int, height: int, width: int) -> Mask:
        """Masks of pasted shapes; a `UserError` where no area is within the bounds."""
        within = areas.bounds(self.min_area, self.max_area, height, width)
        key_area, key_shapes, key_cut = jax.random.split(key, 3)
        wanted = within.draw(key_area, batch)
        uniform = jax.random.uniform(key_shapes, (PASTES, 6, batch))

        def paste(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            pasted, missing, last, done = state
            shape = self._shape(uniform[pasted], height, width)
            area = areas.area(missing | shape)
            fits = (area <= within.most)[:, None, None]
            last = jnp.where(fits | done[:, None, None], last, shape)
            missing = missing | (shape & fits & ~done[:, None, None])
            return pasted + 1, missing, last, done | (area >= wanted)

        # Where no shape reaches the area, the whole image is what is cropped.
        none = jnp.zeros((batch, height, width), bool)
        start = jnp.zeros((), int), none, ~none, jnp.zeros(batch, bool)
        _, missing, last, _ = jax.lax.while_loop(
            lambda s: (s[0] < PASTES) & ~s[3].all(), paste, start
        )
        angle = jax.random.uniform(key_cut, (batch, 1, 1), maxval=2 * jnp.pi)
        rows = (jnp.arange(height)[:, None] + 0.5) / height - 0.5
        columns = (jnp.arange(width) + 0.5) / width - 0.5
        slope = 0.5 + (rows * jnp.sin(angle) + columns * jnp.cos(angle)) / 1.5  # from 0 to 1
        score = jnp.where(missing, 0.0, jnp.where(last, 1.0, 3.0) + slope)
        return areas.with_lowest(missing, areas.area(missing) >= wanted, score, wanted)

    def _shape(self, uniform: Float[Array, "6 batch"], height: int, width: int) -> areas.Missing:
        """One shape per image from numbers in [0, 1), its centre anywhere in the image."""
        which, size, y, x, upside_down, mirrored = uniform
        number = jnp.floor(which * len(self.shapes.bits)).astype(jnp.int32)
        pixels = jnp.unpackbits(jnp.asarray(self.shapes.bits)[number], axis=-1).astype(jnp.float32)
        aspect = jnp.asarray(self.shapes.aspect)[number]
        longer = min(height, width) * (self.min_size + (self.max_size - self.min_size) * size)
        tall, wide = longer * jnp.minimum(aspect, 1.0), longer / jnp.maximum(aspect, 1.0)
        rows = _weights(height, y * height, tall, upside_down < 0.5)
        columns = _weights(width, x * width, wide, mirrored < 0.5)
        exact = jax.lax.Precision.HIGHEST
        coverage = jnp.einsum("bhi,bij->bhj", rows, pixels, precision=exact)
        return jnp.einsum("bhj,bwj->bhw", coverage, columns, precision=exact) >= 0.5


def _weights(
    size: int, centre: Float[Array, " batch"], length: Float[Array, " batch"], flip: Array
) -> Float[Array, "batch size side"]:
    """How much each pixel of a shape counts at each pixel of an image, along one axis.

    Linear interpolation, of as many pixels as become one where the shape shrinks. In multiples of
    1/256, so that sums are exact and a mask does not depend on the batch that it is drawn in.
    """
    scale = SIDE / length[:, None]
    at = (jnp.arange(size) + 0.5 - centre[:, None]) * scale
    at = jnp.where(flip[:, None], -at, at) + (SIDE - 1) / 2
    reach = jnp.maximum(scale, 1.0)[..., None]
    weights = jnp.maximum(0.0, 1.0 - jnp.abs(at[..., None] - jnp.arange(SIDE)) / reach) / reach
    return jnp.round(weights * 256) / 256
