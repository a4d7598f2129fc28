import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxenc.data import geometry


def plain(height, width, value=0):
    return np.full((height, width, 3), value, np.uint8)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 64),
    colour=st.integers(0, 255),
)
@settings(max_examples=60, deadline=None)
def test_every_picture_becomes_a_square_of_the_size_and_keeps_its_colour(
    height, width, size, colour
):
    square = geometry.square(plain(height, width, colour), size)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert (square == colour).all()


def test_a_picture_of_the_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(geometry.square(image, 8), image)


@pytest.mark.parametrize("transposed", [False, True])
def test_only_the_centre_is_kept(transposed):
    image = plain(8, 24)
    image[:, 8:16] = 200  # the middle third; the outer thirds stay black
    if transposed:
        image = image.transpose(1, 0, 2)
    np.testing.assert_array_equal(geometry.square(image, 8), plain(8, 8, 200))
    np.testing.assert_array_equal(geometry.square(image, 4), plain(4, 4, 200))


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (41, 97)])
@pytest.mark.parametrize("size", [20, 80])
def test_a_circle_stays_round(shape, size):
    rows, columns = np.indices(shape)
    centre = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (min(shape) / 4) ** 2
    image = np.repeat(disc[..., None] * np.uint8(255), 3, axis=-1)
    square = geometry.square(image, size)[..., 0] > 127
    height, width = square.any(axis=1).sum(), square.any(axis=0).sum()
    assert height == pytest.approx(size / 2, abs=2)
    assert width == pytest.approx(size / 2, abs=2)


def test_shrinking_averages_so_that_fine_stripes_become_grey():
    image = plain(64, 64)
    image[:, ::4] = 200
    np.testing.assert_array_equal(geometry.square(image, 16), plain(16, 16, 50))


def test_halving_is_the_mean_of_four_pixels():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=-1) * 4
    np.testing.assert_array_equal(geometry.square(image, 2)[..., 0], [[10, 18], [42, 50]])


def test_a_very_long_picture_costs_no_more_than_its_centre():
    strip = plain(1, 30_000)
    strip[0, 15_000 - 1 : 15_000 + 1] = 255
    assert geometry.square(strip, 256).min() == 255


def test_resizing_scales_both_sides_down_to_the_least_allowed():
    assert geometry.resize(plain(30, 60), 0.5).shape == (15, 30, 3)
    assert geometry.resize(plain(30, 60), 0.1, at_least=8).shape == (8, 8, 3)
    assert geometry.resize(plain(30, 60), 2).shape == (60, 120, 3)
