import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxenc.inpainting import crops
from ctxenc.inpainting.crops import Crop, ModelWindow, crop_for
from ctxenc.inpainting.holes import Hole

CENTRE = ModelWindow(16, (8, 8), range(4, 5), range(4, 5))
ANYWHERE = ModelWindow(16, (8, 8), range(9), range(9))
CORNER = ModelWindow(16, (8, 8), range(1), range(1))
LINE = ModelWindow(20, (1, 5), range(20), range(16))


@st.composite
def holes_in_photos(draw, smallest=1, most=90):
    height, width = draw(st.integers(smallest, 90)), draw(st.integers(smallest, 90))
    high, wide = (draw(st.integers(1, min(most, side))) for side in (height, width))
    top, left = draw(st.integers(0, height - high)), draw(st.integers(0, width - wide))
    return Hole(top, left, high, wide), height, width


@given(holes_in_photos(), st.sampled_from([CENTRE, ANYWHERE, CORNER, LINE]))
def test_the_hole_is_in_the_models_box_and_the_box_where_it_was_trained(found, window):
    hole, *photo = found
    crop = crop_for(hole, window, tuple(photo))
    for start, begin, low, high, box, begins in (
        (crop.top, crop.box[0], hole.top, hole.bottom, window.box[0], window.tops),
        (crop.left, crop.box[1], hole.left, hole.right, window.box[1], window.lefts),
    ):
        assert begin in begins
        assert start + begin * crop.scale <= low + 1e-6
        assert high <= start + (begin + box) * crop.scale + 1e-6
    assert crop.scale >= hole.scale(window.box)
    assert crop.scale <= 2 + hole.scale(window.box) * (1 + 1 / min(window.box))


@given(holes_in_photos(smallest=40, most=16))
def test_a_model_that_fills_anywhere_needs_no_mirrored_pixels(found):
    hole, *photo = found
    crop = crop_for(hole, ANYWHERE, tuple(photo))
    for start, length in zip((crop.top, crop.left), photo, strict=True):
        assert start >= -1  # where the box is between two pixels
        assert start + crop.side <= length + 1


def test_the_box_is_in_the_middle_where_the_photo_allows_it():
    crop = crop_for(Hole(40, 33, 21, 21), ANYWHERE, (100, 100))
    assert crop.box == (4, 4)


def test_at_scale_one_both_ways_are_exact():
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    crop = crop_for(Hole(10, 20, 8, 8), CENTRE, (40, 50))
    small, share = crop.reduce(photo, np.ones((40, 50), bool))
    np.testing.assert_array_equal(small, photo[6:22, 16:32])
    np.testing.assert_array_equal(share, 1)
    back = crop.enlarge(small, slice(10, 18), slice(20, 28))
    np.testing.assert_array_equal(back, photo[10:18, 20:28])


@pytest.mark.parametrize("scale", [2, 3])
def test_a_model_pixel_is_the_mean_of_the_pixels_that_it_covers(scale):
    photo = np.random.default_rng(0).integers(0, 256, (100, 90, 3), np.uint8)
    crop = crop_for(Hole(40, 30, 8 * scale, 8 * scale), CENTRE, (100, 90))
    covered = photo[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
    means = covered.reshape(16, scale, 16, scale, 3).mean(axis=(1, 3))
    small, _ = crop.reduce(photo, np.ones(photo.shape[:2], bool))
    np.testing.assert_allclose(small, means, atol=1e-3)


def test_beyond_the_edge_the_photo_is_mirrored():
    photo = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    crop = crop_for(Hole(0, 22, 8, 8), CENTRE, (30, 30))
    mirrored = np.pad(photo, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    small, _ = crop.reduce(photo, np.ones((30, 30), bool))
    np.testing.assert_array_equal(small, mirrored[0:16, 22:38])


def test_however_often_it_is_mirrored_each_row_is_read_once(monkeypatch):
    photo = np.random.default_rng(0).integers(0, 256, (5, 60, 3), np.uint8)
    crop = crop_for(Hole(0, 5, 5, 50), CENTRE, (5, 60))
    mirrored = np.pad(photo, ((50, 50), (50, 50), (0, 0)), mode="symmetric")
    top, left = crop.top + 50, crop.left + 50
    shown = mirrored[top : top + crop.side, left : left + crop.side].astype(np.float32)
    expected = cv2.resize(shown, (16, 16), interpolation=cv2.INTER_AREA)
    for rows in (2, 1000):  # at once
        monkeypatch.setattr(crops, "AT_ONCE", rows * crop.side)
        small, share = crop.reduce(photo, np.ones((5, 60), bool))
        np.testing.assert_allclose(small, expected, atol=1e-3)
        np.testing.assert_allclose(share, 1, atol=1e-6)


def test_unknown_pixels_take_no_part():
    photo = np.full((64, 64, 1), 200, np.uint8)
    known = np.ones((64, 64), bool)
    known[10:50, 10:51] = False
    photo[~known] = 7
    crop = crop_for(Hole(10, 10, 40, 41), CENTRE, (64, 64))
    small, share = crop.reduce(photo, known)
    np.testing.assert_allclose(small[share > 0], 200, rtol=1e-5)
    np.testing.assert_array_equal(small[share == 0], 0)
    assert ((share > 0.01) & (share < 0.99)).sum() > 0
    assert (share == 0).any()


def test_enlarging_continues_a_slope():
    rows, columns = np.mgrid[:16, :16].astype(np.float32)
    image = (3 * rows + 5 * columns)[..., None]
    crop = Crop(Hole(0, 0, 1, 1), CENTRE, (200, 200), -2, 7, 67, (4, 4))
    part = crop.enlarge(image, slice(10, 50), slice(20, 60))
    y = (np.arange(10, 50) + 0.5 + 2) / crop.scale - 0.5
    x = (np.arange(20, 60) + 0.5 - 7) / crop.scale - 0.5
    np.testing.assert_allclose(part[..., 0], 3 * y[:, None] + 5 * x, atol=1e-3)


def test_a_part_is_the_same_whether_it_is_enlarged_alone_or_with_more():
    image = np.random.default_rng(0).uniform(0, 255, (16, 16, 3)).astype(np.float32)
    crop = crop_for(Hole(20, 20, 37, 37), CENTRE, (90, 90))
    all_of_it = crop.enlarge(image, slice(10, 70), slice(5, 75))
    part = crop.enlarge(image, slice(31, 44), slice(18, 50))
    np.testing.assert_allclose(all_of_it[21:34, 13:45], part, atol=0.01)


def test_crops_meet_where_a_mirrored_pixel_is_the_others():
    edge = crop_for(Hole(0, 0, 8, 8), CENTRE, (60, 60))
    assert edge.meets(crop_for(Hole(14, 14, 8, 8), CENTRE, (60, 60)))
    assert not edge.meets(crop_for(Hole(40, 40, 8, 8), CENTRE, (60, 60)))
    far = Crop(Hole(0, 0, 1, 1), CENTRE, (60, 60), -40, 0, 50, (4, 4))  # shows rows 39 … 0 … 9
    assert far.meets(crop_for(Hole(35, 14, 8, 8), CENTRE, (60, 60)))
