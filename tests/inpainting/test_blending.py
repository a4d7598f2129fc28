import numpy as np
import pytest
from scipy.ndimage import convolve1d, distance_transform_edt

from ctxenc.inpainting import blending


def box(shape, top, bottom, left, right):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_membrane_of_a_slope_is_the_slope():
    rows, columns = np.mgrid[:20, :24].astype(np.float32)
    slope = (2 * rows - 3 * columns)[..., None]
    inside = box((20, 24), 5, 15, 6, 17)
    found = blending.membrane(np.where(inside[..., None], np.float32(99), slope), ~inside)
    np.testing.assert_allclose(found, slope, atol=1e-2)


def test_each_value_of_a_membrane_is_the_mean_of_its_neighbours():
    difference = np.random.default_rng(0).normal(size=(12, 12, 3)).astype(np.float32)
    inside = box((12, 12), 3, 9, 2, 10)
    inside[5:7, 4:6] = False
    whole = blending.membrane(difference, ~inside)
    mean = (whole[:-2, 1:-1] + whole[2:, 1:-1] + whole[1:-1, :-2] + whole[1:-1, 2:]) / 4
    middle = inside[1:-1, 1:-1]
    np.testing.assert_allclose(whole[1:-1, 1:-1][middle], mean[middle], atol=1e-5)
    np.testing.assert_array_equal(whole[~inside], difference[~inside])


def test_where_a_hole_is_at_the_images_edge_the_other_sides_decide():
    difference = np.full((10, 10, 1), 50, np.float32)
    found = blending.membrane(difference, box((10, 10), 0, 10, 5, 6))
    np.testing.assert_allclose(found, 50, rtol=1e-3)


def test_the_feather_closes_the_gap_and_leaves_the_depth_alone():
    photo = np.full((60, 60, 3), 140, np.float32)
    fill = np.full((60, 60, 3), 100, np.float32)
    missing = box((60, 60), 10, 50, 10, 50)
    found = blending.feather(fill, photo, ~missing, 4)
    deep = box((60, 60), 16, 44, 16, 44)
    np.testing.assert_array_equal(found[deep], 100)
    assert (found[10, 20:40] > 125).all()
    assert (np.diff(found[10:16, 30, 0]) <= 0).all()


def test_where_the_fill_fits_the_feather_does_nothing():
    photo = np.random.default_rng(0).uniform(0, 255, (40, 40, 3)).astype(np.float32)
    missing = box((40, 40), 10, 30, 10, 30)
    np.testing.assert_array_equal(blending.feather(photo, photo, ~missing, 8), photo)


def test_feathers_are_as_wide_as_most_of_a_model_pixel_and_a_quarter_of_that_within_limits():
    found = [blending.feather_widths(scale) for scale in (1.0, 12.0, 4000.0)]
    assert found == [(1, 1), (8, 2), (256, 64)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 12, 40])
def test_the_feather_carries_a_weighted_mean_of_what_the_fill_lacks(width, channels):
    random = np.random.default_rng(0)
    photo = random.uniform(0, 255, (151, 203, channels)).astype(np.float32)
    fill = np.full(photo.shape, 120, np.float32)
    missing = box((151, 203), 40, 120, 50, 170)
    found = blending.feather(fill, photo, ~missing, width)
    falling = width + 1.0 - np.abs(np.arange(-width, width + 1))  # stackBlur's weights
    known = (~missing).astype(float)
    spread, weight = (photo - 120) * known[..., None], known[..., None]
    for axis in (0, 1):
        spread, weight = (convolve1d(a, falling, axis, mode="nearest") for a in (spread, weight))
    depth = distance_transform_edt(missing)[..., None]
    expected = 120 + spread / np.maximum(weight, 1e-9) * np.clip(1 - depth / (width + 1), 0, 1)
    # Deep inside almost nothing is known within reach, and it is left out.
    near = missing & (depth[..., 0] < 0.8 * width + 1)
    assert np.abs(found - expected)[near].max() < 0.5
    np.testing.assert_array_equal(found[missing & (depth[..., 0] > width + 1)], 120)
