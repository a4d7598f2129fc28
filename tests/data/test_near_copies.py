import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ctxenc.data import near_copies as module
from ctxenc.data.images import MemoryImages, Photographs
from ctxenc.data.near_copies import near_copies

SIZE = 32


def pictures(seed, count, size=SIZE):
    """Smooth colours with fine detail: no two alike."""
    random = np.random.default_rng(seed)
    smooth = [cv2.resize(c, (size, size)) for c in random.integers(40, 216, (count, 5, 5, 3)) * 1.0]
    return (smooth + random.normal(0, 8, (count, size, size, 3))).clip(0, 255).astype(np.uint8)


def jpeg(image, quality=60):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file))


def counted(images, others):
    return near_copies(MemoryImages(np.asarray(images)), MemoryImages(np.asarray(others)))


CHANGES = {
    "nothing": lambda image: image,
    "compression": jpeg,
    "brightness": lambda image: np.clip(image + 30.0, 0, 255).astype(np.uint8),
    "contrast": lambda image: (image * 0.6 + 20).astype(np.uint8),
    "resizing": lambda image: cv2.resize(cv2.resize(image, (24, 24)), (SIZE, SIZE)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_copy_is_counted_whatever_was_done_to_it(change):
    others, held_out = pictures(0, 60), pictures(1, 12)
    assert counted(held_out, others) == 0
    for position, copied in ((0, 59), (5, 0), (11, 30)):
        held_out[position] = change(others[copied])
    assert counted(held_out, others) == 3


DIFFERENCES = {
    "another": lambda image: pictures(2, 1)[0],
    "mirrored": lambda image: image[:, ::-1],
    "negative": lambda image: 255 - image,
    "half": lambda image: np.concatenate([image[:16], pictures(2, 1)[0][16:]]),
    "other colours": lambda image: image[..., [1, 2, 0]],
    "plain": lambda image: np.full_like(image, 90),
}


@pytest.mark.parametrize("change", DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_only_resembles_an_image_is_not(change):
    others = pictures(0, 60)
    assert counted([change(others[7])], others) == 0


def test_plain_images_are_copies_of_nothing():
    plain = np.full((3, SIZE, SIZE, 3), 90, np.uint8)
    assert counted(plain, plain) == 0


def test_images_are_counted_once_each_however_many_they_are_at_once(monkeypatch):
    others = pictures(0, 20)
    held_out = np.concatenate([others, others[:3], pictures(1, 4)])
    for at_once in (1, 5, 1000):
        monkeypatch.setattr(module, "AT_ONCE", at_once * SIZE * SIZE * 3)
        monkeypatch.setattr(module.cache, "load", lambda key: None)
        assert counted(held_out, others) == 23
        assert counted(held_out[::-1], np.concatenate([others, others])) == 23


@pytest.mark.parametrize("size", [4, 16, 45])
def test_images_of_any_size_are_compared(size):
    others = pictures(0, 30, size)
    assert counted(np.stack([others[3], pictures(1, 1, size)[0]]), others) == 1


def test_the_count_is_that_of_comparing_every_pair():
    """Copies with more and more noise: the thumbnails lead to the pair that is alike."""
    others, random = pictures(0, 40), np.random.default_rng(3)
    noise = random.normal(0, 1, others.shape) * np.linspace(0, 40, 40)[:, None, None, None]
    held_out = (others + noise).clip(0, 255).astype(np.uint8)
    here, there = (array.reshape(len(array), -1) for array in (held_out, others))
    pairs = np.corrcoef(here, there)[:40, 40:]
    expected = int((pairs.max(axis=1) >= module.ALIKE).sum())
    assert 5 < expected < 35
    assert counted(held_out, others) == expected


class Level:
    """Pictures that are decoded when asked for."""

    def __len__(self):
        return 3

    def read(self, index, at_least):
        return pictures(index, 1)[0]

    def name(self, index):
        return bytes([index])


def test_without_images_to_compare_with_there_are_none():
    none = np.zeros((0, SIZE, SIZE, 3), np.uint8)
    assert counted(pictures(0, 3), none) == 0
    assert counted(none, pictures(0, 3)) == 0


def test_images_that_are_not_in_memory_are_not_compared():
    streamed, decoded = Photographs(Level(), SIZE), MemoryImages(pictures(0, 3))
    assert near_copies(streamed, decoded) is None
    assert near_copies(decoded, streamed) is None


def test_the_count_is_kept_for_equal_images(monkeypatch):
    others, held_out = pictures(0, 20), pictures(1, 5)
    held_out[2] = others[9]
    assert counted(held_out, others) == 1
    assert counted(pictures(1, 5), others) == 0  # and 0 is kept too

    def refuse(array):
        raise AssertionError("counted again")

    monkeypatch.setattr(module, "_thumbnails", refuse)
    assert counted(held_out.copy(), others.copy()) == 1
    assert counted(pictures(1, 5), others) == 0
    with pytest.raises(AssertionError, match="counted again"):
        counted(others, held_out)
