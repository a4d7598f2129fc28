"""Images whose class shows, for probes: stripes across, stripes down, or checks, in noise."""

import numpy as np

from ctxenc.data.images import Dataset, MemoryImages
from ctxenc.data.labels import Labels

NAMES = ("across", "down", "checks")
COUNTS = {"train": 240, "validation": 90, "test": 120}
SIZE = 16


def split(name, seed, *, signal=True):
    rng = np.random.default_rng(seed)
    numbers = np.arange(COUNTS[name]) % 3
    shown = numbers if signal else rng.permutation(numbers)
    phase = rng.integers(0, 2, (len(numbers), 1, 1))
    rows, columns = np.mgrid[:SIZE, :SIZE] // 2
    waves = np.stack([rows, columns, rows + columns])[shown] + phase
    levels = 128 + 60 * (waves % 2 - 0.5) + rng.normal(0, 25, waves.shape)
    pixels = np.clip(levels, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
    return MemoryImages(pixels, lambda: Labels(numbers, NAMES))


def planted(*, image_size: int = SIZE) -> Dataset:
    """Three splits."""
    return _dataset(signal=True)


def noise(*, image_size: int = SIZE) -> Dataset:
    """The like, but what is drawn has nothing to do with the class."""
    return _dataset(signal=False)


def _dataset(*, signal: bool) -> Dataset:
    names = ("train", "validation", "test")
    parts = (split(name, seed, signal=signal) for seed, name in enumerate(names))
    return Dataset("planted", *parts)


def unlabelled(*, image_size: int = SIZE) -> Dataset:
    """The same images, of which nobody knows the classes."""
    made = planted()
    splits = (made.train, made.validation, made.test)
    return Dataset("plain", *(MemoryImages(images.array) for images in splits))


def lopsided(*, image_size: int = SIZE) -> Dataset:
    """No test image is of the last class."""
    made = planted()
    keep = np.flatnonzero(np.arange(COUNTS["test"]) % 3 < 2)
    test = MemoryImages(made.test.array[keep], lambda: Labels(keep % 3, NAMES))
    return Dataset("lopsided", made.train, made.validation, test)
