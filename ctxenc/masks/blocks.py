"""Several random blocks an image, which may overlap: the paper's second kind of region."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray

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

    Of the blocks drawn, those count that do not take the missing area beyond `max_area`; all are
    drawn anew until it is at least `min_area`. Should that fail `TRIES` times, the image gets one
    block within bounds, as square as can be, at a random place.

    Args:
        key: of sizes and places.
        batch: how many masks.
        height: of the image, in pixels.
        width: likewise.
        min_area: the least share of the image that is missing.
        max_area: the most.
        blocks: how many are drawn.
        min_side: a block's least height and width, as shares of the image's.
        max_side: the most.

    Raises:
        UserError: bounds that no area meets, or that such blocks cannot meet.
    """
    within = areas.bounds(min_area, max_area, height, width)
    sides = [_sides(min_side, max_side, size) for size in (height, width)]
    _check(blocks, sides, within)
    spare = _squarest(within, height, width)

    shapes = (blocks, batch)

    def draw(key: PRNGKeyArray) -> areas.Missing:
        rows, columns = _stretches(key, shapes, (height, width), sides)

        def add(i: Array, missing: areas.Missing) -> areas.Missing:
            more = missing | _outer(rows[i], columns[i])
            fits = areas.area(more) <= within.most
            return jnp.where(fits[:, None, None], more, missing)

        return jax.lax.fori_loop(0, blocks, add, jnp.zeros((batch, height, width), bool))

    key_tries, key_spare = jax.random.split(key)
    missing, done = areas.first_within(draw, key_tries, within, TRIES)
    rows, columns = _stretches(key_spare, (batch,), (height, width), [(n, n) for n in spare])
    return areas.as_mask(jnp.where(done[:, None, None], missing, _outer(rows, columns)))


def _outer(rows: Bool[Array, "batch height"], columns: Bool[Array, "batch width"]) -> areas.Missing:
    return rows[:, :, None] & columns[:, None, :]


def _stretches(
    key: PRNGKeyArray,
    shape: tuple[int, ...],
    size: tuple[int, int],
    sides: list[tuple[int, int]],
) -> list[Bool[Array, "..."]]:
    """For each axis (*shape, size): stretches of random lengths, anywhere within `size`."""
    uniform, found = jax.random.uniform(key, (2, 2, *shape, 1)), []
    for (of_length, of_start), whole, (shortest, longest) in zip(uniform, size, sides, strict=True):
        length = shortest + jnp.floor(of_length * (longest + 1 - shortest))
        start, at = jnp.floor(of_start * (whole + 1 - length)), jnp.arange(whole)
        found.append((at >= start) & (at < start + length))
    return found


def _sides(min_side: float, max_side: float, size: int) -> tuple[int, int]:
    """The shortest and longest side of a block in pixels."""
    areas.check_share("min_side", min_side)
    areas.check_share("max_side", max_side)
    areas.check_range("min_side", min_side, "max_side", max_side)
    return max(1, round(min_side * size)), max(1, round(max_side * size))


def _check(blocks: int, sides: list[tuple[int, int]], within: areas.Bounds) -> None:
    """Refuse blocks of which not one fits, or that all together are too small."""
    (shortest, tallest), (narrowest, widest) = sides
    if blocks < 1:
        raise UserError(f"mask.blocks={blocks}: it takes 1 or more")
    if shortest * narrowest > within.most:
        raise UserError(
            f"mask.min_side: a block has {shortest} × {narrowest} pixels or more, and max_area "
            f"leaves {within.most}; it takes less"
        )
    if blocks * tallest * widest < within.least:
        raise UserError(
            f"mask.max_side: {blocks} blocks of {tallest} × {widest} pixels are less than "
            f"min_area, {within.least} pixels; it takes more"
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
            f"mask.min_area mask.max_area: no block of an image of {height} × {width} has "
            f"{within.least} to {within.most} pixels"
        )
    return min(shapes, key=lambda shape: abs(math.log(shape[0] / shape[1])))
