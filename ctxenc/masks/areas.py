"""Bounds on how much of an image is missing, and ways to keep within them exactly.

The options `min_area` and `max_area` are shares of the image; strategies keep within them for every
image, in whole pixels. Here masks are boolean, without the channel axis.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask

Missing = Bool[Array, "batch height width"]
Scores = Float[Array, "batch height width"]
Areas = Int[Array, " batch"]
Flags = Bool[Array, " batch"]


class Bounds(NamedTuple):
    """The least and the most missing pixels of an image, both allowed."""

    least: int
    most: int

    def hold(self, area: Areas) -> Flags:
        """Which areas are within the bounds."""
        return (self.least <= area) & (area <= self.most)

    def draw(self, key: PRNGKeyArray, batch: int) -> Areas:
        """Random areas within the bounds, each equally likely."""
        share = jax.random.uniform(key, (batch,))  # randint's program is larger by far
        return self.least + jnp.floor(share * (self.most + 1 - self.least)).astype(jnp.int32)


def bounds(min_area: float, max_area: float, height: int, width: int) -> Bounds:
    """Shares of an image as whole pixels; at least one pixel is missing and one is visible.

    Raises:
        UserError: They are no shares, the wrong way round, or without a whole pixel between them.
    """
    check_range(0, 1, min_area=min_area, max_area=max_area)
    pixels, rounding = height * width, 1e-6  # 0.29 × 100 is a little less than 29
    least = max(1, math.ceil(min_area * pixels - rounding))
    most = min(pixels - 1, math.floor(max_area * pixels + rounding))
    if least > most:
        raise UserError(
            f"mask.min_area={min_area:g} mask.max_area={max_area:g}: expected a whole number of "
            f"the {height} × {width} pixels between them"
        )
    return Bounds(least, most)


def check_range(least: float, most: float, **options: float) -> None:
    """Refuse options that are not from `least` to `most`, and a `min_…` above its `max_…`."""
    for name, value in options.items():
        if not least <= value <= most:
            raise UserError(f"mask.{name}={value:g}: expected a number from {least:g} to {most:g}")
        high = name.replace("min_", "max_")
        if value > options.get(high, value):
            raise UserError(
                f"mask.{name}={value:g}: must be at most mask.{high}, {options[high]:g}"
            )


def area(missing: Missing) -> Areas:
    """The missing pixels of each image."""
    return missing.sum((1, 2), dtype=jnp.int32)


def first_within(
    draw: Callable[[PRNGKeyArray], Missing], key: PRNGKeyArray, within: Bounds, tries: int
) -> tuple[Missing, Flags]:
    """(each image's first draw within bounds, whether it has had one).

    All are drawn again until every image has had one, at most `tries` times.
    """

    def again(state: tuple[Array, Missing, Array]) -> tuple[Array, Missing, Array]:
        drawn, missing, done = state
        fresh = draw(jax.random.fold_in(key, drawn))
        missing = jnp.where(done[:, None, None], missing, fresh)
        return drawn + 1, missing, within.hold(area(missing))

    shape = jax.eval_shape(draw, key).shape
    start = jnp.zeros((), int), jnp.zeros(shape, bool), jnp.zeros(shape[0], bool)
    _, missing, done = jax.lax.while_loop(lambda s: (s[0] < tries) & ~s[2].all(), again, start)
    return missing, done


def with_lowest(missing: Missing, done: Flags, score: Scores, count: Areas) -> Mask:
    """The masks that are done; in the others, the `count` pixels with the lowest scores.

    Among equal scores the upper left pixels come first. Scores are 0 or more, and finite; `count`
    is fewer than an image has.
    """
    count = jnp.where(done, 0, count)  # a count of 0 costs nothing
    bits = jax.lax.bitcast_convert_type(score, jnp.int32)  # in the order of the floats, from 0 up
    limit, found = _limit(bits, count)
    equal, number = bits == limit, jnp.arange(score[0].size).reshape(1, *score.shape[1:])
    end, _ = _limit(jnp.where(equal, number, score[0].size), count - found)
    lowest = (bits < limit) | (equal & (number < end))
    return jnp.where(done[:, None, None], missing, lowest)[..., None].astype(jnp.float32)


def _limit(
    values: Int[Array, "batch height width"], count: Areas
) -> tuple[Int[Array, "batch 1 1"], Areas]:
    """(the highest limit with at most `count` values of 0 or more below it, how many there are).

    It is found bit by bit, in at most 31 passes. On CPU XLA takes many times as long to sort.
    """

    def raised(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        bit, limit, found = state
        higher = limit | (1 << bit)
        below = area(values < higher)
        up = below <= count
        return bit - 1, jnp.where(up[:, None, None], higher, limit), jnp.where(up, below, found)

    none = jnp.zeros_like(count)
    start = jnp.full((), 30), none[:, None, None], none
    _, limit, found = jax.lax.while_loop(
        lambda s: (s[0] >= 0) & (s[2] != count).any(), raised, start
    )
    return limit, found
