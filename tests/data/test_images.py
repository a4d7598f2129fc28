import inspect
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxenc import data
from ctxenc.data import images as module
from ctxenc.data.images import (
    Dataset,
    MemoryImages,
    Photographs,
    RandomCrops,
    decode,
    fingerprint,
    held_out,
    in_memory,
    mean_colour,
    once_per_split,
)
from ctxenc.errors import UserError


class Ramps:
    """Pictures of 11 × 21 pixels that show their number, row and column."""

    def __len__(self):
        return 5

    def read(self, index, at_least):
        rows, columns = np.indices((11, 21))
        return np.stack([np.full_like(rows, index), rows, columns], -1).astype(np.uint8)

    def name(self, index):
        return bytes([index])


def crops(pictures=None):
    """Squares of 8 × 8, with 3 rows and 13 columns to spare."""
    return RandomCrops(pictures or Ramps(), 8, 11)


def corners(images, indices=range(5)):
    return [tuple(image[0, 0].tolist()) for image in decode(images, indices)]


def test_each_epoch_cuts_other_parts_and_the_same_ones_when_asked_again():
    epochs = [corners(crops().of_epoch(3, epoch)) for epoch in range(40)]
    assert [corner[0] for corner in epochs[0]] == [0, 1, 2, 3, 4]  # each its own picture
    assert len({tuple(epoch) for epoch in epochs}) == 40
    assert corners(crops().of_epoch(3, 7)) == epochs[7]
    assert corners(crops().of_epoch(4, 0)) != epochs[0]
    flat = [corner for epoch in epochs for corner in epoch]
    assert {row for _, row, _ in flat} == set(range(4))  # every place is cut, the last one too
    assert {column for _, _, column in flat} == set(range(14))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_where_a_picture_is_cut_depends_on_no_other_picture(indices):
    epoch = crops().of_epoch(0, 1)
    together = corners(epoch)
    assert corners(epoch, indices) == [together[index] for index in indices]


def test_the_places_of_pictures_and_of_directions_are_independent():
    class Many(Ramps):
        def __len__(self):
            return 2000

        def read(self, index, at_least):
            rows, columns = np.indices((107, 107))
            return np.stack([rows, columns, rows], -1).astype(np.uint8)

    drawn = RandomCrops(Many(), 8, 107).of_epoch(0, 0)
    places = decode(drawn, range(2000))[:, 0, 0, :2] / 99
    assert abs(places.mean(axis=0) - 0.5).max() < 0.02
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.05
    assert abs(np.corrcoef(places[:-1, 0], places[1:, 0])[0, 1]) < 0.05


def test_fingerprint_and_mean_colour_are_those_of_the_centres():
    centres, moving = Photographs(Ramps(), 8, 11), crops().of_epoch(0, 5)
    np.testing.assert_array_equal(centres[2], Ramps().read(2, 11)[1:9, 6:14])
    np.testing.assert_array_equal(decode(crops(), range(5)), decode(centres, range(5)))
    assert fingerprint(crops()) == fingerprint(centres) == fingerprint(moving)
    np.testing.assert_array_equal(mean_colour(crops()), mean_colour(centres))
    assert (len(crops()), crops().image_size) == (5, 8)


def test_only_images_that_stay_the_same_and_fit_are_kept_decoded(monkeypatch):
    moving = crops()
    assert in_memory(moving) is moving
    kept = in_memory(Photographs(Ramps(), 8))
    assert isinstance(kept, MemoryImages)
    np.testing.assert_array_equal(kept.array, decode(Photographs(Ramps(), 8), range(5)))
    assert in_memory(kept) is kept
    monkeypatch.setattr(module, "MEMORY_LIMIT", 5 * 8 * 8 * 3 - 1)
    large = Photographs(Ramps(), 8)
    assert in_memory(large) is large


def test_with_a_short_side_to_spare_training_images_are_cut_out_at_random():
    for resize, trained_on in ((11, RandomCrops), (None, Photographs)):
        made = Dataset.of_pictures("ramps", Ramps(), Ramps(), Ramps(), 8, resize)
        kinds = [type(of) for of in (made.train, made.validation, made.test)]
        assert kinds == [trained_on, Photographs, Photographs]


@pytest.mark.parametrize("resize", [0, -1, 127, 4097])
def test_a_short_side_out_of_range_is_refused_by_name(resize):
    with pytest.raises(
        UserError, match=rf"^dataset.resize={resize}: must be from image_size=128 to 4096, or null"
    ):
        Dataset.of_pictures("ramps", Ramps(), Ramps(), Ramps(), 128, resize)


@pytest.mark.parametrize("resize", [None, 128, 350, 4096])
def test_a_short_side_in_range_is_accepted(resize):
    assert Photographs(Ramps(), 128, resize).resize == resize


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 10, 128, 50_000])
def test_a_tenth_is_held_out_in_order_and_always_the_same(count):
    train, validation = held_out(count)
    assert len(validation) == round(count / 10)
    assert sorted([*train, *validation]) == list(range(count))  # disjoint, and none is lost
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    for here, again in zip((train, validation), held_out(count), strict=True):
        np.testing.assert_array_equal(here, again)


def test_what_is_held_out_is_spread_over_the_whole():
    of = np.histogram(held_out(50_000)[1], bins=10, range=(0, 50_000))[0]
    assert 400 < of.min() < of.max() < 600


def test_which_images_are_held_out_is_what_earlier_runs_held_out():
    assert held_out(40)[1].tolist() == [15, 29, 31, 33]


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 5, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)],
)
def test_an_array_of_another_kind_is_refused(array):
    with pytest.raises(UserError, match=r"expected uint8 \(images, size, size, 3\)"):
        MemoryImages(array)


def test_a_result_for_images_in_memory_is_computed_once_and_for_others_each_time():
    asked = []

    @once_per_split
    def brightest(images, above=0):
        asked.append((images, above))
        return above + max(images[index].max() for index in range(len(images)))

    def plain(level):
        return MemoryImages(np.full((2, 1, 1, 3), level, np.uint8))

    first, equal, other = plain(5), plain(5), plain(7)
    found = [brightest(first), brightest(first), brightest(equal), brightest(other)]
    assert found == [5, 5, 5, 7]
    assert [images for images, _ in asked] == [first, equal, other]
    assert brightest(first, 1) == 6
    assert len(asked) == 4

    class Changing(list):
        """A folder's files may change between two jobs."""

        image_size = 1

    changing = Changing([np.zeros((1, 1, 3), np.uint8)])
    assert brightest(changing) == 0
    changing[0] += 1
    assert brightest(changing) == 1


EXAMPLE = inspect.getdoc(data).split("::\n")[1].split("\nand a file")[0]


def test_the_dataset_in_the_description_of_the_package_works():
    defined = {}
    exec(textwrap.dedent(EXAMPLE), defined)
    stripes = defined["stripes"](count=30, image_size=16)
    splits = stripes.train, stripes.validation, stripes.test
    assert (stripes.name, [len(images) for images in splits]) == ("stripes", [24, 3, 3])
    assert stripes.train.image_size == 16
    shown = [decode(images, range(len(images))) for images in splits]
    assert min(array.std(axis=(1, 2)).min() for array in shown) > 50
    assert len({image.tobytes() for array in shown for image in array}) == 30


def test_with_a_range_of_scales_every_crop_has_its_own_and_the_same_again():
    """The ramps rise by 1 a pixel before they are resized, so a crop's slope tells its scale."""
    data = Dataset.of_pictures("ramps", Ramps(), Ramps(), Ramps(), 8, 16, 128).train
    fixed = Dataset.of_pictures("ramps", Ramps(), Ramps(), Ramps(), 8, 16).train
    assert isinstance(data, RandomCrops)
    assert isinstance(fixed, RandomCrops)

    def slope(crop):
        return float(np.ptp(crop.astype(float), axis=(0, 1)).max())

    def slopes(images):
        return [slope(images.of_epoch(0, epoch)[0]) for epoch in range(20)]

    assert len(set(slopes(data))) > 3
    assert slopes(data) == slopes(data)
    assert len(set(slopes(fixed))) <= 3  # rounding
    assert max(slopes(data)) <= max(slopes(fixed)) + 1
    assert min(slopes(data)) < 0.5 * max(slopes(data))
    assert data.identity(0) != fixed.identity(0)


@pytest.mark.parametrize(("resize", "most"), [(None, 64), (32, 31), (32, 4097)])
def test_scales_out_of_order_are_refused_by_name(resize, most):
    with pytest.raises(
        UserError, match=f"^dataset.resize_most={most}: must be from dataset.resize"
    ):
        Dataset.of_pictures("ramps", Ramps(), Ramps(), Ramps(), 8, resize, most)
