import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxenc.data import images
from ctxenc.data.images import square


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
    cut = square(plain(height, width, colour), size)
    assert cut.shape == (size, size, 3)
    assert cut.dtype == np.uint8
    assert (cut == colour).all()


def test_a_picture_of_the_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(square(image, 8), image)


@pytest.mark.parametrize("transposed", [False, True])
def test_only_the_centre_is_kept(transposed):
    image = plain(8, 24)
    image[:, 8:16] = 200  # the middle third; the outer thirds stay black
    if transposed:
        image = image.transpose(1, 0, 2)
    np.testing.assert_array_equal(square(image, 8), plain(8, 8, 200))
    np.testing.assert_array_equal(square(image, 4), plain(4, 4, 200))


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (41, 97)])
@pytest.mark.parametrize("size", [20, 80])
def test_a_circle_stays_round(shape, size):
    rows, columns = np.indices(shape)
    centre = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (min(shape) / 4) ** 2
    image = np.repeat(disc[..., None] * np.uint8(255), 3, axis=-1)
    cut = square(image, size)[..., 0] > 127
    height, width = cut.any(axis=1).sum(), cut.any(axis=0).sum()
    assert height == pytest.approx(size / 2, abs=2)
    assert width == pytest.approx(size / 2, abs=2)


def test_shrinking_averages_so_that_fine_stripes_become_grey():
    image = plain(64, 64)
    image[:, ::4] = 200
    np.testing.assert_array_equal(square(image, 16), plain(16, 16, 50))


def test_halving_is_the_mean_of_four_pixels():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=-1) * 4
    np.testing.assert_array_equal(square(image, 2)[..., 0], [[10, 18], [42, 50]])


def test_a_very_long_picture_costs_no_more_than_its_centre():
    strip = plain(1, 30_000)
    strip[0, 15_000 - 1 : 15_000 + 1] = 255
    assert square(strip, 256).min() == 255


@pytest.fixture
def resized(monkeypatch):
    """The (height, width) that pictures are resized to."""
    sizes, resize = [], cv2.resize

    def watched(image, size, **options):
        sizes.append(size[::-1])
        return resize(image, size, **options)

    monkeypatch.setattr(cv2, "resize", watched)
    return sizes


def test_both_sides_are_scaled_by_the_factor_of_the_shorter(resized):
    for short_side in (15, 30, 60, 8):
        square(plain(30, 60), 8, short_side)
    square(plain(60, 31), 8, 10)
    square(plain(30, 60), 8)  # of the largest square only
    assert resized == [(15, 30), (30, 60), (60, 120), (8, 16), (19, 10), (8, 8)]


def ramps(height, width):
    """Pixels that show their own row and column."""
    return np.stack([*np.indices((height, width)), np.zeros((height, width))], -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("place", "corner"),
    [
        (images.CENTRE, (2, 5)),  # 20 - 16 = 4 and 26 - 16 = 10 to spare
        ((0.0, 0.0), (0, 0)),
        ((0.999, 0.999), (4, 10)),
        ((0.19, 0.5), (0, 5)),  # each of five and of eleven places is as likely
        ((0.21, 0.1), (1, 1)),
    ],
)
def test_a_square_is_cut_out_where_it_is_asked_for(place, corner):
    cut = square(ramps(20, 26), 16, short_side=20, place=place)
    assert cut.shape == (16, 16, 3)
    assert tuple(cut[0, 0, :2]) == corner
    assert tuple(cut[-1, -1, :2]) == (corner[0] + 15, corner[1] + 15)


def test_the_short_side_is_resized_first_whichever_it_is():
    image = plain(40, 80)
    image[:, 40:] = 200
    for turned in (image, image.transpose(1, 0, 2)):
        far = square(turned, 10, short_side=20, place=(0.99, 0.99))
        near = square(turned, 10, short_side=20, place=(0.0, 0.0))
        np.testing.assert_array_equal(near, plain(10, 10, 0))
        np.testing.assert_array_equal(far, plain(10, 10, 200))
    half = square(image, 20, short_side=20)  # 20 × 40 once resized: half of it dark
    assert half[..., 0].mean() == 100


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    short_side=st.integers(8, 40),
    place=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
@settings(max_examples=60, deadline=None)
def test_a_square_of_any_picture_at_any_place_has_the_size(height, width, short_side, place):
    cut = square(plain(height, width, 7), 8, short_side=short_side, place=place)
    np.testing.assert_array_equal(cut, plain(8, 8, 7))


@pytest.mark.parametrize("spare", [0, 1, 2, 7, 8, 8 * 4096 - 1, 8 * 4096])
def test_of_two_places_next_to_the_middle_the_upper_left_is_the_centre(spare):
    line = np.zeros((1, 1 + spare, 3), np.uint8)
    line[0, spare // 2] = 255
    for strip in (line, line.transpose(1, 0, 2)):
        assert square(strip, 1).item(0) == 255


@pytest.mark.parametrize("shape", [(1, 30_000), (30_000, 1)])
def test_a_strip_is_not_enlarged_whole(shape, resized):
    assert square(plain(*shape, 3), 128, short_side=350).shape == (128, 128, 3)
    assert np.prod(resized) == 350 * 350 * images.LONGEST  # whole, it would be eleven gigabytes
