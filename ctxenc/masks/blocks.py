"""Several random blocks per image, which may overlap: the paper's second kind of region."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask, areas

TRIES = 64  # draws of all of an image's blocks


def random_blocks(
    key: PRNGKeyArray,
    batch: int,
    height: int,
    width: int,
    *,
    min_area: float,
    max_area: float,
    blocks: int,
    min_side: float,
    max_side: float,
) -> Mask:
    """Blocks of random sizes at random places, inside the image, until `max_area` is reached.

    Blocks that would take the missing area beyond `max_area` are left out; all are drawn again
    until it is at least `min_area`. If that fails `TRIES` times, the image gets one block within
    bounds, as square as possible, at a random place.

    Raises:
        UserError: No area, or no such blocks, are within the bounds.
    """
    within = areas.bounds(min_area, max_area, height, width)
    areas.check_range(0, 1, min_side=min_side, max_side=max_side)
    size = height, width
    sides = [(max(1, round(min_side * n)), max(1, round(max_side * n))) for n in size]
    _check(blocks, sides, within)
    spare = [(side, side) for side in _squarest(within, height, width)]

    def draw(key: PRNGKeyArray) -> areas.Missing:
        uniform = jax.random.uniform(key, (2, 2, blocks, batch))

        def add(i: Array, missing: areas.Missing) -> areas.Missing:
            more = missing | _block(uniform[:, :, i], size, sides)
            fits = areas.area(more) <= within.most
            return jnp.where(fits[:, None, None], more, missing)

        return jax.lax.fori_loop(0, blocks, add, jnp.zeros((batch, height, width), bool))

    key_tries, key_spare = jax.random.split(key)
    missing, done = areas.first_within(draw, key_tries, within, TRIES)
    one_block = _block(jax.random.uniform(key_spare, (2, 2, batch)), size, spare)
    return jnp.where(done[:, None, None], missing, one_block)[..., None].astype(jnp.float32)


def _block(
    uniform: Float[Array, "2 2 batch"], size: tuple[int, int], sides: list[tuple[int, int]]
) -> areas.Missing:
    """One block per image from numbers in [0, 1), its sides (shortest, longest) as allowed."""
    inside = []
    for (of_length, of_start), whole, (shortest, longest) in zip(uniform, size, sides, strict=True):
        length = shortest + jnp.floor(of_length * (longest + 1 - shortest))
        start = jnp.floor(of_start * (whole + 1 - length))
        at = jnp.arange(whole) - start[:, None]
        inside.append((at >= 0) & (at < length[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]


def _check(blocks: int, sides: list[tuple[int, int]], within: areas.Bounds) -> None:
    """Refuse blocks of which not one fits, or that all together are too small."""
    (shortest, tallest), (narrowest, widest) = sides
    if blocks < 1:
        raise UserError(f"mask.blocks={blocks}: expected 1 or more")
    if shortest * narrowest > within.most:
        raise UserError(
            f"mask.min_side: must be less, as the smallest block, {shortest} × {narrowest} pixels, "
            f"is larger than max_area, {within.most} pixels"
        )
    if blocks * tallest * widest < within.least:
        raise UserError(
            f"mask.max_side: must be more, as mask.blocks={blocks} of {tallest} × {widest} pixels "
            f"are less than min_area, {within.least} pixels"
        )


def _squarest(within: areas.Bounds, height: int, width: int) -> tuple[int, int]:
    """Height and width of the block within bounds whose shape is nearest to a square."""
    shapes = [
        (h, w)
        for h in range(1, height + 1)
        for w in range(-(-within.least // h), min(width, within.most // h) + 1)
    ]
    if not shapes:
        raise UserError(
            f"mask.min_area mask.max_area: expected bounds that a block in an image of {height} × "
            f"{width} can meet; none has {within.least} to {within.most} pixels"
        )
    return min(shapes, key=lambda shape: abs(math.log(shape[0] / shape[1])))
