import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxenc.data import images as module
from ctxenc.data.fingerprint import fingerprint, mean_colour
from ctxenc.data.images import MemoryImages, RandomCrops, check_resize, decode, in_memory
from ctxenc.errors import UserError


class Ramps:
    """Pictures of 11 × 21 pixels that show their number, row and column; 8 × 8 are cut out."""

    image_size = 8

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return self.cut(index, None)

    def cut(self, index, place):
        down, right = (0.5, 0.5) if place is None else place
        rows, columns = np.indices((8, 8))
        rows, columns = rows + int(4 * down), columns + int(14 * right)
        return np.stack([np.full((8, 8), index), rows, columns], -1).astype(np.uint8)

    def identity(self, index):
        return bytes([index])


def corners(images, indices=range(5)):
    return [tuple(image[0, 0].tolist()) for image in decode(images, indices)]


def test_each_epoch_cuts_other_parts_and_the_same_ones_when_asked_again():
    crops = RandomCrops(Ramps())
    epochs = [corners(crops.of_epoch(3, epoch)) for epoch in range(40)]
    assert [corner[0] for corner in epochs[0]] == [0, 1, 2, 3, 4]  # each its own picture
    assert len({tuple(epoch) for epoch in epochs}) == 40
    assert corners(RandomCrops(Ramps()).of_epoch(3, 7)) == epochs[7]
    assert corners(crops.of_epoch(4, 0)) != epochs[0]
    flat = [corner for epoch in epochs for corner in epoch]
    assert {row for _, row, _ in flat} == set(range(4))  # every place is cut, the last one too
    assert {column for _, _, column in flat} == set(range(14))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_where_a_picture_is_cut_depends_on_no_other_picture(indices):
    epoch = RandomCrops(Ramps()).of_epoch(0, 1)
    together = corners(epoch)
    assert corners(epoch, indices) == [together[index] for index in indices]


def test_places_of_pictures_and_of_directions_are_independent():
    class Places(Ramps):
        def __len__(self):
            return 2000

        def cut(self, index, place):
            return np.array(place)

    drawn = RandomCrops(Places()).of_epoch(0, 0)
    places = np.stack([drawn[index] for index in range(2000)])
    assert abs(places.mean(axis=0) - 0.5).max() < 0.02
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.05
    assert abs(np.corrcoef(places[:-1, 0], places[1:, 0])[0, 1]) < 0.05


def test_fingerprint_and_mean_colour_are_those_of_the_centres():
    whole, crops = Ramps(), RandomCrops(Ramps())
    assert fingerprint(crops) == fingerprint(whole)
    np.testing.assert_array_equal(mean_colour(crops), mean_colour(whole))
    np.testing.assert_array_equal(decode(crops, range(5)), decode(whole, range(5)))
    assert (len(crops), crops.image_size) == (5, 8)


def test_only_images_that_stay_the_same_and_fit_are_kept_decoded(monkeypatch):
    crops = RandomCrops(Ramps())
    assert in_memory(crops) is crops
    kept = in_memory(Ramps())
    assert isinstance(kept, MemoryImages)
    np.testing.assert_array_equal(kept.array, decode(crops, range(5)))
    assert in_memory(kept) is kept
    monkeypatch.setattr(module, "MEMORY_LIMIT", 5 * 8 * 8 * 3 - 1)
    large = Ramps()
    assert in_memory(large) is large


@pytest.mark.parametrize("resize", [0, -1, 127, 4097])
def test_a_short_side_out_of_which_nothing_can_be_cut_is_refused_by_name(resize):
    with pytest.raises(UserError, match=rf"^dataset.resize={resize}: .*; it takes 128 to 4096, or"):
        check_resize(resize, 128)


@pytest.mark.parametrize("resize", [None, 128, 350, 4096])
def test_a_short_side_from_the_size_on_is_taken(resize):
    check_resize(resize, 128)
