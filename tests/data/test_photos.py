import json
from pathlib import Path

import numpy as np
import pytest

from ctxenc.data import photos as module
from ctxenc.data.images import EpochImages, decode, fingerprint, in_memory
from ctxenc.data.photos import COUNTS, TEST, TRAIN, VALIDATION, photos
from ctxenc.errors import UserError

RUN = Path(__file__).parents[1] / "fixtures" / "format1" / "run"


@pytest.fixture
def drawn_from(monkeypatch):
    """Have every photograph be another picture, by its name."""

    def replace(picture):
        monkeypatch.setattr(module, "shrunk", lambda name, size: picture(name))
        module.places.cache_clear()

    yield replace
    module.places.cache_clear()


def shown(images, indices=None):
    return decode(images, range(len(images)) if indices is None else indices)


def splits(size):
    data = photos(image_size=size)
    return {"train": data.train, "validation": data.validation, "test": data.test}


@pytest.mark.parametrize("size", [16, 32, 45])
def test_crops_have_the_size_and_number_promised(size):
    assert photos(image_size=size).name == "photos"
    for name, images in splits(size).items():
        assert shown(images).shape == (COUNTS[name], size, size, 3)
        assert images.image_size == size


def test_crops_of_earlier_versions_are_the_same_byte_for_byte():
    """Figures of runs before there was a validation split are of the same test images."""
    data, then = photos(image_size=16), json.loads((RUN / "dataset.json").read_text())
    assert fingerprint(data.test) == then["test_fingerprint"]
    assert fingerprint(data.train) == then["train_fingerprint"]  # those without an epoch


def test_no_crop_is_in_two_splits():
    crops = [{crop.tobytes() for crop in shown(images)} for images in splits(32).values()]
    crops[0] |= {crop.tobytes() for crop in shown(photos(image_size=32).train.of_epoch(0, 0))}
    assert len(set.union(*crops)) == sum(map(len, crops))
    assert len({*TRAIN, *VALIDATION, *TEST}) == len(TRAIN) + len(VALIDATION) + len(TEST)


@pytest.fixture
def opened(monkeypatch):
    """The names of the photographs that are read from now on."""
    names, read = [], module.photograph

    def watched(name):
        names.append(name)
        return read(name)

    monkeypatch.setattr(module, "photograph", watched)
    module.shrunk.cache_clear()
    return names


def test_each_split_is_of_photographs_of_its_own_and_reads_no_other(opened):
    data = photos(image_size=16)
    assert not opened
    for images, own in ((data.train, TRAIN), (data.validation, VALIDATION), (data.test, TEST)):
        shown(images)
        assert set(opened) == set(own)
        opened.clear()
    for epoch in range(3):
        shown(data.train.of_epoch(0, epoch), range(0, 1408, 7))
    assert set(opened) == set(TRAIN)


@pytest.mark.parametrize("size", [16, 24])
def test_crops_show_something_in_colour_and_no_two_are_the_same(size):
    epoch = photos(image_size=size).train.of_epoch(0, 0)
    for images in (*splits(size).values(), epoch):
        crops = shown(images)
        flat = crops.std(axis=(1, 2)).mean(axis=1) < 20
        assert flat.mean() < (0.01 if images is epoch else 1e-9)  # by chance, after many tries
        assert len({crop.tobytes() for crop in crops}) > 0.98 * len(crops)
        assert (crops.max(axis=-1) - crops.min(axis=-1)).mean() > 10


def test_each_epoch_draws_other_crops_and_the_same_ones_when_asked_again():
    train = photos(image_size=16).train
    assert isinstance(train, EpochImages)
    assert in_memory(train) is train
    few = range(0, 1408, 20)
    epochs = [shown(train.of_epoch(3, epoch), few) for epoch in range(4)]
    assert len({crop.tobytes() for epoch in epochs for crop in epoch}) > 0.98 * 4 * len(few)
    again = photos(image_size=16).train
    np.testing.assert_array_equal(shown(again.of_epoch(3, 2), few), epochs[2])
    other = shown(train.of_epoch(4, 2), few)
    assert (other != epochs[2]).any(axis=(1, 2, 3)).all()
    backwards = shown(train.of_epoch(3, 2), few[::-1])  # which does not depend on the others
    np.testing.assert_array_equal(backwards[::-1], epochs[2])


def test_an_epoch_has_as_many_crops_of_each_photograph(monkeypatch, drawn_from):
    monkeypatch.setattr(module, "FLATTEST", 0)
    levels = {name: 10 + 20 * number for number, name in enumerate(TRAIN)}
    plain = np.ones((50, 40, 3), np.uint8)
    drawn_from(lambda name: levels[name] * plain)
    drawn = shown(photos(image_size=16).train.of_epoch(0, 0))[:, 0, 0, 0]
    found, counts = np.unique(drawn, return_counts=True)
    assert found.tolist() == list(levels.values())
    assert counts.max() - counts.min() <= 1


def test_an_epochs_crops_are_of_every_place_and_scale(monkeypatch, drawn_from):
    monkeypatch.setattr(module, "FLATTEST", 0)
    rows, columns = np.indices((240, 200))
    ramp = np.stack([rows, columns, rows], -1).astype(np.uint8)
    drawn_from(lambda name: ramp)
    drawn = shown(photos(image_size=16).train.of_epoch(0, 0)).astype(float)
    across = (drawn[:, 0, -1, 1] - drawn[:, 0, 0, 1]) * 16 / 15  # pixels of the photograph
    down = (drawn[:, -1, 0, 0] - drawn[:, 0, 0, 0]) * 16 / 15
    assert abs(across - down).max() <= 3  # squares stay squares
    assert 48 <= across.min() < 53
    assert 128 < across.max() <= 136  # a quarter to two thirds of the shorter side
    first, last = drawn[:, 0, 0, :2], drawn[:, -1, -1, :2]
    assert (first.min(axis=0) < 6).all()
    assert (last.max(axis=0) > np.array([239, 199]) - 6).all()


def test_flat_places_are_drawn_again(monkeypatch, drawn_from):
    image = np.full((60, 60, 3), 128, np.uint8)
    image[:20, :30] = np.random.default_rng(0).integers(0, 256, (20, 30, 3))
    drawn_from(lambda name: image)
    train = photos(image_size=16).train

    def flat():
        crops = shown(train.of_epoch(0, 0), range(200))
        return (crops.std(axis=(1, 2)).mean(axis=1) < module.FLATTEST).mean()

    assert flat() < 0.05
    monkeypatch.setattr(module, "TRIES", 1)
    assert flat() > 0.5


def test_no_crop_of_an_epoch_is_flat():
    for size in (16, 32):
        crops = shown(photos(image_size=size).train.of_epoch(0, 0))
        assert crops.std(axis=(1, 2)).mean(axis=1).min() > module.FLATTEST - 1e-6


@pytest.mark.parametrize("size", [16, 17, 31, 33, 64, 100, 255, 256])
def test_every_photograph_has_many_places_at_each_scale(size):
    for name in TRAIN:
        height, width, _ = module.shrunk(name, size).shape
        for side, corners in module.places(name, size):
            assert side >= size
            assert len(corners) > 50
            assert (corners.min(axis=0) >= 0).all()
            assert (corners.max(axis=0) + side <= (height, width)).all()


def test_flat_crops_are_left_out():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:16, 20:] = np.random.default_rng(0).integers(0, 256, (16, 20, 3))
    corners = module._enough_corners(image, 8, 20)
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
    here, there = splits(16), splits(16)
    for name in here:
        np.testing.assert_array_equal(shown(here[name]), shown(there[name]))


@pytest.mark.parametrize("size", [15, 257, 0])
def test_an_image_size_out_of_range_is_refused_by_name(size):
    with pytest.raises(UserError, match=rf"^image_size={size}: must be from 16 to 256 with"):
        photos(image_size=size)
