"""What is predicted and what the discriminator sees, on images small enough to write down."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import masks
from ctxenc.errors import UserError
from ctxenc.geometry import Geometry, _drawn
from ctxenc.masks import boxes

# A 6 × 6 image whose pixel (row, column) is row · 10 + column, its 4 × 4 box at (1, 2).
IMAGE = (jnp.arange(6.0)[:, None] * 10 + jnp.arange(6.0))[None, :, :, None].repeat(3, -1)
BOX = boxes.boxes(jnp.array([1]), jnp.array([2]), 4, 4, 6, 6)
INNER = boxes.boxes(jnp.array([2]), jnp.array([3]), 2, 2, 6, 6)  # the same with a band of 1
HOLE = Geometry(window=(4, 4), box=(4, 4))
BAND = Geometry(window=(4, 4), box=(4, 4), band=1)
WHOLE = Geometry(window=(6, 6), whole=True, box=(4, 4))


def rows(window):
    return np.asarray(window)[0, :, :, 0].tolist()


def test_the_window_is_the_hole_with_its_band_or_the_whole_image():
    assert rows(HOLE.window_of(IMAGE, BOX))[0] == [12, 13, 14, 15]
    assert rows(HOLE.window_of(IMAGE, BOX))[3] == [42, 43, 44, 45]
    np.testing.assert_array_equal(BAND.window_of(IMAGE, INNER), HOLE.window_of(IMAGE, BOX))
    np.testing.assert_array_equal(WHOLE.window_of(IMAGE, BOX), IMAGE)


def test_a_band_is_visible_and_the_rest_of_the_window_is_not():
    visible = 1 - np.asarray(BAND.window_of(INNER, INNER))[0, :, :, 0]
    assert visible.tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    given = BAND.generator_input(IMAGE, INNER, jnp.full(3, -1.0))
    assert rows(given)[1] == [10, 11, 12, 13, 14, 15]
    assert rows(given)[2] == [20, 21, 22, -1, -1, 25]


def test_how_many_masks_are_looked_at_at_once_changes_nothing(monkeypatch):
    strategy = functools.partial(boxes.random_box, mask_height=2, mask_width=2)
    at_once = _drawn(strategy, 6)
    monkeypatch.setattr(masks, "MOST_DRAWN", 6 * 6 * 10)
    np.testing.assert_array_equal(_drawn(strategy, 6), at_once)
    assert at_once.shape == (64, 6, 6)


@pytest.mark.parametrize(("views", "mask"), [(HOLE, BOX), (BAND, INNER), (WHOLE, INNER)])
def test_only_missing_pixels_are_taken_from_the_prediction(views, mask):
    prediction = views.window_of(IMAGE, mask) + 100
    composite = views.composite(IMAGE, prediction, mask)
    np.testing.assert_array_equal(composite, IMAGE + 100 * mask)


def test_the_discriminator_sees_what_it_is_told_to():
    fake = jnp.full((1, 4, 4, 3), -5.0)
    composite = Geometry(window=(4, 4), box=(4, 4), discriminator_input="composite")
    np.testing.assert_array_equal(HOLE.discriminator_sees(IMAGE, fake, BOX), fake)
    np.testing.assert_array_equal(
        composite.discriminator_sees(IMAGE, fake, BOX), jnp.where(BOX > 0, -5.0, IMAGE)
    )
    np.testing.assert_array_equal(
        composite.discriminator_sees(IMAGE, HOLE.window_of(IMAGE, BOX), BOX), IMAGE
    )
    hole = Geometry(window=(6, 6), whole=True, box=(4, 4), discriminator_input="hole")
    np.testing.assert_array_equal(
        hole.discriminator_sees(IMAGE, IMAGE, BOX), HOLE.window_of(IMAGE, BOX)
    )
    assert [v.discriminator_size(6) for v in (HOLE, composite, hole, WHOLE)] == [
        *((4, 4), (6, 6)),
        *((4, 4), (6, 6)),
    ]


def test_the_mask_is_a_fourth_channel_where_asked_for():
    views = Geometry(window=(4, 4), box=(4, 4), mask_channel=True)
    given = views.generator_input(IMAGE, BOX, jnp.zeros(3))
    assert given.shape == (1, 6, 6, 4)
    np.testing.assert_array_equal(given[..., 3:], BOX)
    assert (HOLE.channels, views.channels) == (3, 4)


def test_boxes_with_an_overlap_lose_their_edge():
    """A quarter of a 4-pixel side is 1 pixel: the mask is the box's middle."""
    strategy = functools.partial(boxes.random_box, mask_height=4, mask_width=4)
    whole = strategy(jax.random.key(0), 8, 6, 6)
    inner = strategy(jax.random.key(0), 8, 6, 6, overlap=0.25)
    np.testing.assert_array_equal(masks.corners(inner), masks.corners(whole) + 1)
    assert (inner.sum((1, 2, 3)) == 4).all()
    assert (inner <= whole).all()
    assert [boxes.band(share, 64, 64) for share in (0, 1 / 16, 7 / 64)] == [0, 4, 7]
    assert boxes.band(1 / 16, 32, 48) == 2  # half of the size, half of the band


def test_boxes_are_told_from_other_shapes():
    box, cross = np.zeros((2, 6, 6), bool)
    box[1:3, 2:5] = True
    cross[1:4, 2], cross[2, 1:4] = True, True

    def fills_boxes(*shapes, size):
        several = jnp.asarray(np.stack(shapes), jnp.float32)[..., None]

        def strategy(key, batch, height, width):
            return several[jax.random.randint(key, (batch,), 0, len(several))]

        others = {"predict": None, "overlap": 0.0, "discriminator_input": "prediction"}
        return not Geometry.of(strategy, 6, size, mask_channel=False, **others).whole

    assert fills_boxes(box, size=(2, 3))
    assert not fills_boxes(box, size=(3, 2))
    assert not fills_boxes(box, cross, size=(2, 3))
    assert not fills_boxes(cross, size=(3, 3))


def chosen_for(*shares):
    """The geometry for masks whose upper part is missing, by turns so much of the image."""
    several = jnp.stack([jnp.arange(6)[:, None] < 6 * share for share in shares])

    def strategy(key, batch, height, width):
        drawn = several[jax.random.randint(key, (batch,), 0, len(several))]
        return jnp.ones((1, 1, width, 1)) * drawn[..., None]

    others = {"predict": None, "overlap": 0.0, "discriminator_input": "prediction"}
    return Geometry.of(strategy, 6, (3, 6), mask_channel=True, **others)


@pytest.mark.parametrize(
    ("shares", "found"),
    [((0.5, 1), "50 to 100"), ((0, 0.5), "0 to 50"), ((0, 1), "0 to 100"), ((0,), "0 to 0")],
)
def test_masks_that_cover_all_or_nothing_of_some_images_are_refused(shares, found):
    with pytest.raises(UserError, match=f"^mask: hides {found} % of an image; expected") as raised:
        chosen_for(*shares)
    assert "\n" not in str(raised.value)


def test_where_masks_cover_everything_all_is_predicted_and_nothing_hidden():
    geometry, mask = chosen_for(1), jnp.ones_like(BOX)
    assert (geometry.whole, geometry.window, geometry.box) == (True, (6, 6), None)
    assert not geometry.hides
    given = geometry.generator_input(IMAGE, mask, jnp.zeros(3))
    np.testing.assert_array_equal(given[..., :3], IMAGE)
    assert not given[..., 3:].any()
    np.testing.assert_array_equal(geometry.composite(IMAGE, -IMAGE, mask), -IMAGE)
    assert chosen_for(0.5).hides
