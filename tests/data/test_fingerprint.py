import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxenc.data import images as module
from ctxenc.data.images import MemoryImages, decode, fingerprint, mean_colour


def some_images(count=4, size=3):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def test_equal_images_have_equal_fingerprints_and_one_pixel_changes_it():
    array = some_images()
    first = fingerprint(MemoryImages(array))
    assert first == fingerprint(MemoryImages(array.copy()))
    for position in np.ndindex(4, 3, 3, 3):
        changed = array.copy()
        changed[position] ^= 1
        assert fingerprint(MemoryImages(changed)) != first


def test_the_order_number_and_size_of_images_change_the_fingerprint():
    array = some_images()
    same_bytes = array[:, :, :, :].reshape(1, 6, 6, 3)
    others = [array[::-1], array[:-1], np.concatenate([array, array[-1:]]), same_bytes]
    prints = {fingerprint(MemoryImages(np.ascontiguousarray(a))) for a in [array, *others]}
    assert len(prints) == 5


class Named:
    """Images that say themselves what tells them apart."""

    image_size = 1

    def __init__(self, *identities):
        self.identities = identities

    def __len__(self):
        return len(self.identities)

    def __getitem__(self, index):
        raise AssertionError("decoded")

    def identity(self, index):
        return self.identities[index]


@given(st.lists(st.binary(max_size=3), max_size=3), st.lists(st.binary(max_size=3), max_size=3))
def test_fingerprints_are_equal_exactly_where_all_identities_are_equal(here, there):
    assert (fingerprint(Named(*here)) == fingerprint(Named(*there))) == (here == there)


def test_identities_do_not_run_into_each_other():
    assert fingerprint(Named(b"ab", b"c")) != fingerprint(Named(b"a", b"bc"))


def test_a_fingerprint_is_a_sha_256():
    assert len(bytes.fromhex(fingerprint(Named(b"a")))) == hashlib.sha256().digest_size


def test_the_mean_colour_is_in_minus_one_to_one_by_channel():
    array = np.zeros((3, 2, 2, 3), np.uint8)
    array[..., 1] = 255
    array[0, :, :, 2] = 255  # blue in one image of three
    colour = mean_colour(MemoryImages(array))
    np.testing.assert_allclose(colour, [-1, 1, 2 / 3 - 1])


def test_the_mean_colour_counts_each_pixel_once_however_many_batches_it_takes():
    array = np.random.default_rng(0).integers(0, 256, (1203, 2, 2, 3), np.uint8)
    expected = array.reshape(-1, 3).mean(axis=0) / 127.5 - 1
    np.testing.assert_allclose(mean_colour(MemoryImages(array)), expected)


def test_the_mean_colour_of_many_images_is_that_of_an_even_sample(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 11)
    array = np.arange(101, dtype=np.uint8)[:, None, None, None].repeat(3, axis=-1)
    assert mean_colour(MemoryImages(array)) == pytest.approx([50 / 127.5 - 1] * 3)


class Streamed:
    """Plain images of one grey level that are not in memory."""

    image_size, reads = 2, 0

    def __init__(self, count, level):
        self.count, self.level = count, level

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        Streamed.reads += 1
        return np.full((2, 2, 3), self.level, np.uint8)


class Identified(Streamed):
    def identity(self, index):
        return bytes([self.level])


def test_images_without_an_identity_are_told_apart_by_their_pixels():
    assert fingerprint(Streamed(3, 7)) == fingerprint(
        MemoryImages(decode(Streamed(3, 7), range(3)))
    )
    assert fingerprint(Streamed(3, 7)) != fingerprint(Streamed(3, 8))


def test_the_mean_colour_of_images_that_are_not_in_memory_is_kept(monkeypatch):
    monkeypatch.setattr(Streamed, "reads", 0)
    first = mean_colour(Identified(12, 50))
    np.testing.assert_allclose(first, [50 / 127.5 - 1] * 3)
    assert Streamed.reads == 12
    np.testing.assert_array_equal(mean_colour(Identified(12, 50)), first)
    assert Streamed.reads == 12
    np.testing.assert_allclose(mean_colour(Identified(12, 51)), [51 / 127.5 - 1] * 3)
    assert Streamed.reads == 24
