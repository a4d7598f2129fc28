import numpy as np
import pytest

from ctxenc.data import photos as module
from ctxenc.data.photos import photos
from ctxenc.errors import UserError


@pytest.mark.parametrize("size", [16, 32, 45])
def test_crops_have_the_size_and_number_promised(size):
    data = photos(image_size=size)
    assert data.name == "photos"
    assert data.train.array.shape == (module.COUNTS["train"], size, size, 3)
    assert data.test.array.shape == (module.COUNTS["test"], size, size, 3)


def test_no_crop_is_in_both_splits():
    data = photos(image_size=32)
    train, test = ({c.tobytes() for c in images.array} for images in (data.train, data.test))
    assert not train & test
    assert not set(module.TRAIN) & set(module.TEST)


@pytest.mark.parametrize("size", [16, 32])
def test_crops_show_something_in_colour_and_no_two_are_the_same(size):
    for images in (photos(image_size=size).train, photos(image_size=size).test):
        crops = images.array
        assert crops.std(axis=(1, 2)).mean(axis=1).min() >= 20
        assert len({crop.tobytes() for crop in crops}) > 0.98 * len(crops)
        assert (crops.max(axis=-1) - crops.min(axis=-1)).mean() > 10


def test_flat_crops_are_left_out():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:16, 20:] = np.random.default_rng(0).integers(0, 256, (16, 20, 3))
    corners = module._corners(image, 8, 20)
    assert len(corners) >= 20
    for top, left in np.ndindex(33, 33):
        flat = image[top : top + 8, left : left + 8].std(axis=(0, 1)).mean() < module.FLATTEST
        assert not (flat and [top, left] in corners.tolist())


def test_a_large_crop_is_a_part_of_its_photograph_at_some_scale():
    image = module.photograph("chelsea.png")
    for crop in module.crops(image, 256, 8):
        assert crop.shape == (256, 256, 3)
    whole = module.crops(image, 300, 1)[0]  # as high as the photograph: it is never enlarged
    columns = range(image.shape[1] - 300 + 1)
    assert any(np.array_equal(whole, image[:, left : left + 300]) for left in columns)


def test_made_anew_the_crops_are_the_same_byte_for_byte():
    here, there = photos(image_size=16), photos(image_size=16)
    np.testing.assert_array_equal(here.train.array, there.train.array)
    np.testing.assert_array_equal(here.test.array, there.test.array)


@pytest.mark.parametrize("size", [15, 257, 0])
def test_an_image_size_out_of_range_is_refused_by_name(size):
    with pytest.raises(UserError, match=rf"^image_size={size}: must be from 16 to 256 with"):
        photos(image_size=size)
