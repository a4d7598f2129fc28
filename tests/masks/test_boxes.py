import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxenc import masks
from ctxenc.errors import UserError
from ctxenc.masks import boxes

STRATEGIES = (boxes.center_box, boxes.random_box)
SIZES = ((8, 8), (7, 12), (2, 3))  # few, since JAX compiles anew for each


@st.composite
def image_and_box(draw):
    height, width = draw(st.sampled_from(SIZES))
    box = draw(st.tuples(st.integers(1, height), st.integers(1, width - 1)))
    return (height, width), box


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(sizes=image_and_box(), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_a_mask_is_one_box_of_the_area_asked_for_inside_the_image(strategy, sizes, seed):
    (height, width), (h, w), batch = *sizes, 3
    key = jax.random.key(seed)
    mask = strategy(key, batch, height, width, mask_height=h, mask_width=w)
    assert mask.shape == (batch, height, width, 1)
    assert mask.dtype == jnp.float32
    assert set(np.unique(mask)) <= {0.0, 1.0}
    np.testing.assert_array_equal(mask.sum((1, 2, 3)), h * w)
    rows, columns = np.asarray(mask.any(axis=(2, 3))), np.asarray(mask.any(axis=(1, 3)))
    assert (rows.sum(1) == h).all()  # with the area h * w, this makes it a filled box
    assert (columns.sum(1) == w).all()


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=10, deadline=None)
def test_the_same_key_gives_the_same_mask_and_another_key_another(seed):
    draw = functools.partial(
        boxes.random_box, batch=16, height=32, width=32, mask_height=8, mask_width=8
    )
    first = draw(jax.random.key(seed))
    np.testing.assert_array_equal(first, draw(jax.random.key(seed)))
    assert (first != draw(jax.random.key(seed + 1))).any()


def test_random_boxes_reach_every_offset_that_fits_and_differ_within_a_batch():
    mask = boxes.random_box(jax.random.key(0), 2000, 8, 7, mask_height=3, mask_width=5)
    reached = {tuple(corner) for corner in np.asarray(masks.corners(mask)).tolist()}
    assert reached == {(top, left) for top in range(6) for left in range(3)}


def test_random_offsets_are_equally_likely():
    mask = boxes.random_box(jax.random.key(1), 20_000, 6, 6, mask_height=3, mask_width=3)
    counts = np.unique(np.asarray(masks.corners(mask)), axis=0, return_counts=True)[1]
    expected = 20_000 / 16
    assert ((counts - expected) ** 2 / expected).sum() < 37.7  # chi-squared, 15 degrees: p = 0.001


def test_the_centre_box_is_in_the_middle():
    mask = boxes.center_box(jax.random.key(0), 1, 32, 32, mask_height=16, mask_width=16)
    assert mask[0, 8:24, 8:24].all()
    assert mask.sum() == 256


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("height", "width", "named"),
    [(33, 4, "mask_height=33"), (4, 0, "mask_width=0"), (32, 32, "32")],
)
def test_a_box_that_cannot_be_is_refused_by_name(strategy, height, width, named):
    with pytest.raises(UserError, match=named):
        strategy(jax.random.key(0), 1, 32, 32, mask_height=height, mask_width=width)


def test_frozen_masks_depend_on_the_index_alone():
    strategy = functools.partial(boxes.random_box, mask_height=4, mask_width=4)
    together = masks.frozen(strategy, jnp.arange(10), 16, 16)
    apart = masks.frozen(strategy, jnp.array([7, 3]), 16, 16)
    np.testing.assert_array_equal(together[jnp.array([7, 3])], apart)
    assert len({tuple(c) for c in np.asarray(masks.corners(together)).tolist()}) > 1


@given(sizes=image_and_box(), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_crop_takes_the_missing_pixels_and_paste_puts_them_back(sizes, seed):
    (height, width), hole = sizes
    key = jax.random.key(seed)
    images = jax.random.uniform(key, (3, height, width, 3))
    mask = boxes.random_box(key, 3, height, width, mask_height=hole[0], mask_width=hole[1])
    corners = masks.corners(mask)
    holes = masks.crop(images, corners, hole)
    np.testing.assert_allclose(holes.sum(), (images * mask).sum(), rtol=1e-4)
    covered = masks.apply(images, mask, jnp.array([2.0, 3.0, 4.0]))
    assert (np.asarray(covered)[np.asarray(mask[..., 0]) > 0] == [2.0, 3.0, 4.0]).all()
    np.testing.assert_array_equal(masks.paste(covered, holes, corners), images)


def test_pixels_become_minus_one_to_one():
    values = masks.to_float(jnp.array([0, 255], jnp.uint8))
    np.testing.assert_array_equal(values, [-1.0, 1.0])
