import functools

import jax
import numpy as np
import pytest

from ctxenc.masks import areas, blocks


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def draw(number, size, shares, key):
    """As boxes of a quarter of the image's sides, without the channel axis."""
    options = {"min_area": shares[0], "max_area": shares[1], "min_side": 0.25, "max_side": 0.25}
    return blocks.random_blocks(key, 900, size, size, blocks=number, **options)[..., 0]


def test_one_block_of_one_size_reaches_every_place(key):
    mask = np.asarray(draw(1, 8, (1 / 16, 1 / 16), key))
    places = {tuple(np.argwhere(one)[0].tolist()) for one in mask}
    assert places == {(y, x) for y in range(7) for x in range(7)}
    assert (mask.sum((1, 2)) == 4).all()


def test_blocks_overlap_and_reach_the_most(key):
    missing = np.asarray(draw(6, 16, (0.1, 0.25), key)).sum((1, 2))
    assert 26 <= missing.min() < missing.max() == 64
    assert (missing % 16 > 0).any()  # whole blocks of 4 × 4 overlap


def test_where_blocks_never_fit_there_is_one_that_does(key):
    mask = np.asarray(draw(2, 16, (27 / 256, 27 / 256), key))  # 32 less an overlap is never 27
    assert (mask.sum((1, 2)) == 27).all()
    assert (mask.any(axis=1).sum(1) * mask.any(axis=2).sum(1) == 27).all()
    places = {tuple(np.argwhere(one)[0].tolist()) for one in mask}
    assert len(places) == 14 * 8


@pytest.mark.parametrize(
    ("within", "expected"), [((30, 30), (5, 6)), ((13, 13), (1, 13)), ((15, 17), (4, 4))]
)
def test_the_spare_block_is_as_square_as_can_be(within, expected):
    assert blocks._squarest(areas.Bounds(*within), 16, 16) in (expected, expected[::-1])
