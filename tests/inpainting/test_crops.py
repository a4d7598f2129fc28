import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxenc.inpainting.crops import Axis, Crop, Sight, place
from ctxenc.inpainting.holes import Hole

CENTRE = Sight(16, (8, 8), (4,), (4,))
ANYWHERE = Sight(16, (8, 8), tuple(range(9)), tuple(range(9)))
CORNER = Sight(16, (8, 8), (0,), (0,))


@st.composite
def holes_in_photos(draw, smallest=1, share=1):
    height, width = draw(st.integers(smallest, 90)), draw(st.integers(smallest, 90))
    most = min(height, width) // share if share > 1 else 90
    high, wide = (draw(st.integers(1, min(most, side))) for side in (height, width))
    top, left = draw(st.integers(0, height - high)), draw(st.integers(0, width - wide))
    return Hole(top, left, high, wide), height, width


@given(holes_in_photos(), st.sampled_from([CENTRE, ANYWHERE, CORNER]))
def test_the_hole_is_in_the_models_box_and_the_box_where_it_was_trained(found, sight):
    hole, height, width = found
    crop = place(hole, sight, height, width)
    for axis, low, high, box, places in (
        (crop.rows, hole.top, hole.bottom, sight.box[0], sight.tops),
        (crop.columns, hole.left, hole.right, sight.box[1], sight.lefts),
    ):
        assert axis.box in places
        begin = axis.start + axis.box * axis.scale
        assert begin <= low + 1e-6
        assert high <= begin + box * axis.scale + 1e-6
        if axis.scale == 1:
            assert axis.start == int(axis.start)


@given(holes_in_photos(smallest=16, share=2))
def test_a_model_that_fills_anywhere_needs_no_mirror_where_its_crop_fits(found):
    hole, height, width = found
    crop = place(hole, ANYWHERE, height, width)
    assert crop.side <= min(height, width)
    for axis in (crop.rows, crop.columns):
        assert axis.start >= -1e-6
        assert axis.start + crop.side <= axis.length + 1e-6


def test_at_scale_one_both_ways_are_exact():
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    crop = place(Hole(10, 20, 8, 8), CENTRE, 40, 50)
    small, share = crop.reduce(photo, np.ones((40, 50), bool))
    np.testing.assert_array_equal(small, photo[6:22, 16:32])
    np.testing.assert_array_equal(share, 1)
    back = crop.enlarge(small, slice(10, 18), slice(20, 28))
    np.testing.assert_array_equal(back, photo[10:18, 20:28])


@pytest.mark.parametrize("scale", [2, 3])
def test_reducing_is_opencvs_area_averaging(scale):
    side = 16 * scale
    photo = np.random.default_rng(0).integers(0, 256, (100, 90, 3), np.uint8)
    crop = place(Hole(40, 30, 8 * scale, 8 * scale), CENTRE, 100, 90)
    top, left = int(crop.rows.start), int(crop.columns.start)
    expected = cv2.resize(
        photo[top : top + side, left : left + side].astype(np.float32),
        (16, 16),
        interpolation=cv2.INTER_AREA,
    )
    small, _ = crop.reduce(photo, np.ones(photo.shape[:2], bool))
    np.testing.assert_allclose(small, expected, atol=1e-3)


def test_beyond_the_edge_the_photo_is_mirrored():
    photo = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    crop = place(Hole(0, 22, 8, 8), CENTRE, 30, 30)
    mirrored = np.pad(photo, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    small, _ = crop.reduce(photo, np.ones((30, 30), bool))
    np.testing.assert_array_equal(small, mirrored[0:16, 22:38])


@given(st.integers(1, 40), st.floats(-60, 60), st.floats(1, 9))
def test_area_averages_weigh_every_pixel_by_its_share(length, start, scale):
    axis = Axis(start, scale, 16, length, 4)
    matrix, used = axis.reducing()
    assert 0 <= used.start < used.stop <= length
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)


def test_unknown_pixels_take_no_part():
    photo = np.full((64, 64, 1), 200, np.uint8)
    known = np.ones((64, 64), bool)
    known[10:50, 10:51] = False
    photo[~known] = 7
    crop = place(Hole(10, 10, 40, 41), CENTRE, 64, 64)
    small, share = crop.reduce(photo, known)
    np.testing.assert_allclose(small[share > 0], 200, rtol=1e-5)
    np.testing.assert_array_equal(small[share == 0], 0)
    assert ((share > 0.01) & (share < 0.99)).sum() > 0
    assert (share == 0).any()


def test_enlarging_continues_a_slope():
    rows, columns = np.mgrid[:16, :16].astype(np.float32)
    image = (3 * rows + 5 * columns)[..., None]
    crop = Crop(Hole(0, 0, 1, 1), Axis(-2.5, 4.2, 16, 200, 4), Axis(7.0, 4.2, 16, 200, 4))
    part = crop.enlarge(image, slice(10, 50), slice(20, 60))
    y = (np.arange(10, 50) + 0.5 + 2.5) / 4.2 - 0.5
    x = (np.arange(20, 60) + 0.5 - 7.0) / 4.2 - 0.5
    np.testing.assert_allclose(part[..., 0], 3 * y[:, None] + 5 * x, atol=1e-3)


def test_crops_meet_where_a_mirrored_pixel_is_the_others():
    edge = place(Hole(0, 0, 8, 8), CENTRE, 60, 60)
    assert edge.meets(place(Hole(14, 14, 8, 8), CENTRE, 60, 60))
    assert not edge.meets(place(Hole(40, 40, 8, 8), CENTRE, 60, 60))
