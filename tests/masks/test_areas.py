import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxenc.errors import UserError
from ctxenc.masks import areas


@jax.jit
def lowest(score, count):
    """Which pixels are missing in masks of which none is done."""
    none = jnp.zeros(score.shape, bool)
    return areas.with_lowest(none, none[:, 0, 0], score, count)[..., 0]


@given(
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3e9]), min_size=24, max_size=24),
    counts=st.tuples(st.integers(0, 11), st.integers(0, 11)),
)
def test_the_lowest_scores_are_missing_and_of_equals_the_upper_left(scores, counts):
    score = np.array(scores, np.float32).reshape(2, 3, 4)
    found = np.asarray(lowest(jnp.asarray(score), jnp.array(counts)))
    for values, missing, count in zip(score, found, counts, strict=True):
        expected = np.argsort(values.ravel(), kind="stable")[:count]
        assert set(np.flatnonzero(missing)) == set(expected)


def test_lowest_of_scores_without_ties():
    score = np.random.default_rng(0).random((3, 9, 7), np.float32)
    found = np.asarray(lowest(jnp.asarray(score), jnp.array([1, 30, 62])))
    for values, missing, count in zip(score, found, (1, 30, 62), strict=True):
        np.testing.assert_array_equal(missing, values < np.sort(values.ravel())[count])


@pytest.mark.parametrize(
    ("shares", "size", "expected"),
    [
        ((0.2, 0.29), (10, 10), (20, 29)),  # 0.29 × 100 is a little less than 29 in floats
        ((0.07, 0.3), (10, 10), (7, 30)),  # and 0.07 × 100 a little more than 7
        ((0.2, 0.3), (3, 4), (3, 3)),  # 2.4 and 3.6
        ((0.0, 1.0), (4, 4), (1, 15)),  # never none, never all
        ((0.25, 0.25), (8, 8), (16, 16)),
    ],
)
def test_shares_become_whole_pixels(shares, size, expected):
    assert areas.bounds(*shares, *size) == expected


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ((-0.1, 0.5), r"mask\.min_area=-0\.1: expected a number from 0 to 1"),
        ((0.1, 1.5), r"mask\.max_area=1\.5"),
        ((float("nan"), 0.5), r"mask\.min_area=nan"),
        ((0.5, 0.2), r"mask\.min_area=0\.5: must be at most mask\.max_area, 0\.2"),
        ((0.26, 0.27), "expected a whole number of the 3 × 4 pixels between"),
    ],
)
def test_bad_bounds_are_refused(shares, named):
    with pytest.raises(UserError, match=named):
        areas.bounds(*shares, 3, 4)


def test_drawn_areas_reach_both_bounds_and_nothing_beyond():
    drawn = np.asarray(areas.Bounds(3, 6).draw(jax.random.key(0), 400))
    assert np.unique(drawn).tolist() == [3, 4, 5, 6]
    assert np.unique(drawn, return_counts=True)[1].min() > 60  # of 100


def test_each_image_keeps_its_first_draw_within_bounds():
    def draw(key):  # one row more missing each time, two more in the second image
        rows = jax.lax.while_loop(
            lambda n: (jax.random.fold_in(base, n) != key).any(), lambda n: n + 1, 0
        )
        return jnp.arange(8)[None, :, None] < jnp.array([rows, 2 * rows])[:, None, None]

    base = jax.random.key(3)
    missing, done = areas.first_within(draw, base, areas.Bounds(3, 5), 8)
    assert missing.sum((1, 2)).tolist() == [3, 4]
    assert done.all()
    missing, done = areas.first_within(draw, base, areas.Bounds(3, 3), 8)
    assert missing[0].sum() == 3
    assert done.tolist() == [True, False]
