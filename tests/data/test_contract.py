"""What a dataset of one's own has to offer, through a configuration's node."""

import json

import numpy as np
import pytest

from ctxenc.config import build
from ctxenc.data import images
from ctxenc.data.images import Dataset, MemoryImages, fingerprint, mean_colour
from ctxenc.errors import UserError


class Greys:
    """The least that a split can be: a length, a size, and an image for each index."""

    def __init__(self, count, image_size):
        self.count, self.image_size = count, image_size

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((self.image_size, self.image_size, 3), index, np.uint8)


def greys(*, count: int, image_size: int) -> Dataset:
    return Dataset("greys", Greys(count, image_size), Greys(2, image_size))


def too_large(*, image_size: int) -> Dataset:
    return Dataset("large", Greys(3, image_size), Greys(3, 2 * image_size))


def floats(*, image_size: int):
    class Floats(Greys):
        def __getitem__(self, index):
            return super().__getitem__(index) / 255

    return Dataset("floats", Floats(3, image_size), Floats(3, image_size))


def a_list(*, image_size: int):
    return [np.zeros((image_size, image_size, 3), np.uint8)]


def opened(name, **options):
    return build._dataset(json.dumps({"_target_": f"{__name__}.{name}", **options}), 8)


def test_a_length_a_size_and_an_image_for_each_index_are_enough(monkeypatch):
    decoded = opened("greys", count=4)
    assert isinstance(decoded.train, MemoryImages)
    assert decoded.train.array[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(images, "MEMORY_LIMIT", 0)
    streamed = opened("greys", count=5)
    assert isinstance(streamed.train, Greys)
    assert fingerprint(streamed.test) == fingerprint(decoded.test)
    np.testing.assert_allclose(mean_colour(streamed.train), [2 / 127.5 - 1] * 3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a_list", {}, "its train split has no image_size; expected a ctxenc.data.images.Dataset"),
        (
            "too_large",
            {},
            r"its test split .* uint8 \(16, 16, 3\); expected images of uint8 \(8, 8",
        ),
        ("floats", {}, r"its train split begins with float64 .*; expected images of uint8 \(8, 8"),
        ("greys", {"count": 0}, "its train split begins with .*; expected images of uint8"),
    ],
)
def test_a_dataset_that_breaks_the_contract_is_one_line_that_names_it(name, options, message):
    with pytest.raises(UserError, match=rf"^dataset._target_=.*\.{name}: {message}") as raised:
        opened(name, **options)
    assert "\n" not in str(raised.value)
