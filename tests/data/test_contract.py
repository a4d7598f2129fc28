"""What a dataset of one's own has to offer, through a configuration's node."""

import json

import numpy as np
import pytest

from ctxenc.config import build
from ctxenc.data import images
from ctxenc.data.images import Dataset, MemoryImages, fingerprint, mean_colour
from ctxenc.data.near_copies import near_copies
from ctxenc.errors import UserError


class Greys:
    """The least that a split can be: a length, a size, and an image for each index."""

    def __init__(self, count, image_size):
        self.count, self.image_size = count, image_size

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((self.image_size, self.image_size, 3), index, np.uint8)


class Untouchable:
    """A split of which nothing may be asked but its size."""

    def __init__(self, image_size):
        self.image_size = image_size

    def __len__(self):
        raise AssertionError("touched")

    def __getitem__(self, index):
        raise AssertionError("touched")


def greys(*, count: int, image_size: int) -> Dataset:
    return Dataset("greys", *(Greys(n, image_size) for n in (count, 2, 3)))


def without(*, split: str, image_size: int) -> Dataset:
    splits = {name: Greys(3, image_size) for name in build.SPLITS}
    return Dataset("two", **{**splits, split: Untouchable(image_size)})


def too_large(*, split: str, image_size: int) -> Dataset:
    splits = {name: Greys(3, image_size) for name in build.SPLITS}
    return Dataset("large", **{**splits, split: Greys(3, 2 * image_size)})


def empty(*, split: str, image_size: int) -> Dataset:
    splits = {name: Greys(3, image_size) for name in build.SPLITS}
    return Dataset("empty", **{**splits, split: Greys(0, image_size)})


def floats(*, image_size: int):
    class Floats(Greys):
        def __getitem__(self, index):
            return super().__getitem__(index) / 255

    return Dataset("floats", *(Floats(3, image_size) for _ in build.SPLITS))


def a_list(*, image_size: int):
    return [np.zeros((image_size, image_size, 3), np.uint8)]


class Two:
    """A dataset as it was before there was a validation split."""

    name = "two"

    def __init__(self, image_size):
        self.train = self.test = Greys(3, image_size)


def as_before(*, image_size: int):
    return Two(image_size)


def opened(name, held_out="validation", **options):
    return build._dataset(json.dumps({"_target_": f"{__name__}.{name}", **options}), 8, (held_out,))


def test_a_length_a_size_and_an_image_for_each_index_are_enough(monkeypatch):
    decoded = opened("greys", count=4)
    assert isinstance(decoded.train, MemoryImages)
    assert decoded.train.array[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(images, "MEMORY_LIMIT", 0)
    streamed = opened("greys", count=5)
    assert isinstance(streamed.train, Greys)
    assert isinstance(streamed.validation, Greys)
    assert fingerprint(streamed.validation) == fingerprint(decoded.validation)
    np.testing.assert_allclose(mean_colour(streamed.train), [2 / 127.5 - 1] * 3)


@pytest.mark.parametrize(("held_out", "third"), [("validation", "test"), ("test", "validation")])
def test_of_the_split_that_is_not_asked_for_nothing_is_read(held_out, third):
    data = opened("without", held_out, split=third)
    assert type(getattr(data, third)) is Untouchable
    assert [type(of) for of in (data.train, getattr(data, held_out))] == [MemoryImages] * 2
    for split in ("train", held_out):
        with pytest.raises(AssertionError, match="touched"):
            opened("without", held_out, split=split)


def test_the_images_are_opened_once_however_many_jobs_ask():
    first = opened("greys", count=6)
    assert opened("greys", count=6) is first
    tested = opened("greys", "test", count=6)
    assert [len(tested.train), len(tested.test)] == [6, 3]
    assert isinstance(tested.test, MemoryImages)
    assert opened("greys", count=6) is first  # both are kept


def test_without_a_training_image_a_test_split_is_tested_all_the_same():
    data = opened("empty", "test", split="train")
    assert [len(data.train), len(data.test)] == [0, 3]
    assert near_copies(data.test, data.train) == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a_list", {}, "its train split has no image_size; expected a ctxenc.data.images.Dataset"),
        (
            "as_before",
            {},
            "its validation split has no image_size; expected a ctxenc.data.images.Dataset",
        ),
        *(
            (
                "too_large",
                {"split": split, "held_out": held_out},
                rf"its {split} split .* uint8 \(16, 16, 3\); expected images of uint8 \(8, 8",
            )
            for split, held_out in [
                ("train", "validation"),
                ("validation", "validation"),
                ("test", "test"),
            ]
        ),
        *(
            (
                "empty",
                {"split": split, "held_out": held_out},
                f"its {split} split begins with .*; expected images of uint8",
            )
            for split, held_out in [
                ("train", "validation"),
                ("validation", "validation"),
                ("test", "test"),
            ]
        ),
        ("floats", {}, r"its train split begins with float64 .*; expected images of uint8 \(8, 8"),
    ],
)
def test_a_dataset_that_breaks_the_contract_is_one_line_that_names_it(name, options, message):
    with pytest.raises(UserError, match=rf"^dataset._target_=.*\.{name}: {message}") as raised:
        opened(name, **options)
    assert "\n" not in str(raised.value)
