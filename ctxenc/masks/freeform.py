"""Brush strokes: what a user paints over a photograph, with areas within bounds.

After Yu et al., "Free-Form Image Inpainting with Gated Convolution" (2019).
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ctxenc.masks import Mask, areas

TURN = 1.6  # radians: a stroke turns by up to this between two of its segments


def brush_strokes(
    key: PRNGKeyArray,
    batch: int,
    height: int,
    width: int,
    *,
    min_area: float,
    max_area: float,
    strokes: int,
    segments: int,
    length: float,
    min_width: float,
    max_width: float,
) -> Mask:
    """Strokes with round ends, each a chain of straight segments, until an area is reached.

    For each image an area within bounds is drawn, and strokes are added until it is reached. Where
    they exceed the bounds or do not suffice, all of the image's strokes become thinner or wider by
    one factor, so that the area is the one that was drawn.

    Raises:
        UserError: No area is within the bounds, or an option is out of its range.
    """
    within = areas.bounds(min_area, max_area, height, width)
    areas.check_range(1, 64, strokes=strokes, segments=segments)
    areas.check_range(0, 1, length=length)
    areas.check_range(0.001, 1, min_width=min_width, max_width=max_width)
    key_area, key_strokes = jax.random.split(key)
    wanted, side = within.draw(key_area, batch), min(height, width)
    uniform = jax.random.uniform(key_strokes, (2 * segments + 5, strokes, batch))
    paths = _paths(uniform[:-1], jnp.array([height, width]), length * side)
    brush = side * (min_width + (max_width - min_width) * uniform[-1])

    def paint(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        drawn, distance, area = state
        stroke = _distance(paths[:, drawn], brush[drawn] / 2, height, width)
        unfinished = (area < wanted)[:, None, None]
        distance = jnp.where(unfinished, jnp.minimum(distance, stroke), distance)
        return drawn + 1, distance, areas.area(distance <= 1)

    far, none = jnp.full((batch, height, width), 1e9), jnp.zeros(batch, jnp.int32)
    _, distance, area = jax.lax.while_loop(
        lambda s: (s[0] < strokes) & (s[2] < wanted).any(), paint, (jnp.zeros((), int), far, none)
    )
    return areas.with_lowest(distance <= 1, within.hold(area), distance, wanted)


def _paths(
    uniform: Float[Array, "numbers strokes batch"], size: Int[Array, " 2"], length: float
) -> Float[Array, "corners strokes batch 2"]:
    """Corners of chains, (row, column) in pixels, from numbers in [0, 1): 4, and 2 per segment.

    Segments that are not used have length 0. At the image's edges a chain is mirrored back.
    """
    start = jnp.moveaxis(uniform[:2], 0, -1) * size
    turns, longs = jnp.split(uniform[4:], 2)
    heading = 2 * jnp.pi * uniform[2] + TURN * jnp.cumsum(2 * turns - 1, axis=0)
    last = jnp.floor(uniform[3] * len(turns))
    number = jnp.arange(len(turns)).reshape(-1, *(1,) * last.ndim)
    steps = jnp.where(number <= last, length * (0.25 + 0.75 * longs), 0.0)
    moves = steps[..., None] * jnp.stack([jnp.sin(heading), jnp.cos(heading)], axis=-1)
    corners = jnp.concatenate([start[None], start + jnp.cumsum(moves, axis=0)])
    return size - jnp.abs(size - jnp.mod(corners, 2 * size))


def _distance(
    path: Float[Array, "corners batch 2"], radius: Float[Array, " batch"], height: int, width: int
) -> Float[Array, "batch height width"]:
    """Squared distance of each pixel's middle from the chain, in squared radii of the brush."""
    rows = jnp.arange(height)[None, :, None] + 0.5
    columns = jnp.arange(width)[None, None, :] + 0.5
    nearest = jnp.full((len(radius), height, width), jnp.inf)
    for start, end in itertools.pairwise(path[..., None, None]):
        move = end - start
        y, x = rows - start[:, 0], columns - start[:, 1]
        squared = jnp.maximum(move[:, 0] ** 2 + move[:, 1] ** 2, 1e-9)
        along = jnp.clip(y * (move[:, 0] / squared) + x * (move[:, 1] / squared), 0.0, 1.0)
        away = (y - along * move[:, 0]) ** 2 + (x - along * move[:, 1]) ** 2
        nearest = jnp.minimum(nearest, away)
    return nearest / radius[:, None, None] ** 2
