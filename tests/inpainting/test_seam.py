import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ctxenc.inpainting import seam


def box(shape, top, bottom, left, right):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_membrane_of_a_slope_is_the_slope():
    rows, columns = np.mgrid[:20, :24].astype(np.float32)
    slope = (2 * rows - 3 * columns)[..., None]
    inside = box((20, 24), 5, 15, 6, 17)
    found = seam.membrane(np.where(inside[..., None], 99, slope), inside, ~inside)
    np.testing.assert_allclose(found[inside], slope[inside], atol=1e-2)
    assert not found[~inside].any()


def test_each_value_of_a_membrane_is_the_mean_of_its_neighbours():
    difference = np.random.default_rng(0).normal(size=(12, 12, 3)).astype(np.float32)
    inside = box((12, 12), 3, 9, 2, 10)
    inside[5:7, 4:6] = False
    whole = np.where(inside[..., None], seam.membrane(difference, inside, ~inside), difference)
    mean = (whole[:-2, 1:-1] + whole[2:, 1:-1] + whole[1:-1, :-2] + whole[1:-1, 2:]) / 4
    middle = inside[1:-1, 1:-1]
    np.testing.assert_allclose(whole[1:-1, 1:-1][middle], mean[middle], atol=1e-5)


def test_a_free_boundary_pulls_nothing():
    difference = np.full((10, 10, 1), 50, np.float32)
    inside = box((10, 10), 0, 10, 0, 5)
    border = box((10, 10), 0, 10, 5, 6)
    np.testing.assert_allclose(seam.membrane(difference, inside, border)[inside], 50, rtol=1e-3)


def test_without_any_border_the_membrane_is_zero():
    inside = box((10, 10), 2, 8, 2, 8)
    nowhere = np.zeros((10, 10), bool)
    assert not seam.membrane(np.ones((10, 10, 3), np.float32), inside, nowhere).any()


def test_the_feather_closes_the_gap_and_leaves_the_depth_alone():
    photo = np.full((60, 60, 3), 140, np.float32)
    fill = np.full((60, 60, 3), 100, np.float32)
    missing = box((60, 60), 10, 50, 10, 50)
    found = seam.feather(fill, photo, missing, ~missing, 4.0)
    deep = box((60, 60), 16, 44, 16, 44)
    np.testing.assert_array_equal(found[deep], 100)
    assert (found[10, 20:40] > 125).all()
    assert (np.diff(found[10:16, 30, 0]) <= 0).all()


def test_where_the_fill_fits_the_feather_does_nothing():
    photo = np.random.default_rng(0).uniform(0, 255, (40, 40, 3)).astype(np.float32)
    missing = box((40, 40), 10, 30, 10, 30)
    np.testing.assert_array_equal(seam.feather(photo, photo, missing, ~missing, 8.0), photo)


def test_feathers_are_as_wide_as_a_model_pixel_and_a_quarter_within_limits():
    assert [seam.feather_widths(scale) for scale in (1, 6, 4000)] == [(1, 1), (6, 1.5), (256, 64)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [12.0, 40.0])
def test_wide_feathers_are_computed_on_fewer_pixels_and_look_the_same(width, channels):
    random = np.random.default_rng(0)
    photo = random.uniform(0, 255, (151, 203, channels)).astype(np.float32)
    fill = np.full(photo.shape, 120, np.float32)
    missing = box((151, 203), 40, 120, 50, 170)
    found = seam.feather(fill, photo, missing, ~missing, width)
    known = (~missing).astype(float)
    lacking = (photo - 120) * known[..., None]
    spread = gaussian_filter(lacking, (width / 2, width / 2, 0), mode="constant")
    weight = gaussian_filter(known, width / 2, mode="constant")[..., None]
    depth = distance_transform_edt(missing)[..., None]
    expected = 120 + spread / np.maximum(weight, 1e-3) * np.clip(1 - depth / (width + 1), 0, 1)
    # Deep inside, where almost nothing is known within reach, the two cut off differently.
    near = missing & (depth[..., 0] < width)
    assert np.abs(found - expected)[near].max() < 6
    np.testing.assert_array_equal(found[missing & (depth[..., 0] > width + 1)], 120)
