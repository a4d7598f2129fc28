"""What every dataset gives: held-apart training and test images, by index."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

MEMORY_LIMIT = 2**30  # bytes: splits that decode to more than this are streamed


class Images(Protocol):
    """RGB images of one square size, by index."""

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One image; the same index always gives the same image."""

    def identity(self, index: int) -> bytes:
        """What tells this image from others, without decoding it where that is possible."""


@dataclass(frozen=True)
class MemoryImages:
    """Decoded images in one array."""

    array: UInt8[np.ndarray, "n height width 3"]

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.array.shape[1]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        return self.array[index]

    def identity(self, index: int) -> bytes:
        """The pixels."""
        return self.array[index].tobytes()


@dataclass(frozen=True)
class Dataset:
    """Two splits of one kind of images; `test` is never trained on."""

    name: str
    train: Images
    test: Images


def in_memory(images: Images) -> Images:
    """The images decoded into one array where they fit in memory, else as they are."""
    if isinstance(images, MemoryImages) or not fits_in_memory(images):
        return images
    return MemoryImages(decode(images, range(len(images))))


def fits_in_memory(images: Images) -> bool:
    """Whether the decoded images take at most `MEMORY_LIMIT` bytes."""
    return len(images) * images.image_size**2 * 3 <= MEMORY_LIMIT


def decode(images: Images, indices: Sequence[int]) -> UInt8[np.ndarray, "n height width 3"]:
    """The images at `indices`, decoded by threads into one array."""
    array = np.empty((len(indices), images.image_size, images.image_size, 3), np.uint8)

    def fill(position: int) -> None:
        array[position] = images[indices[position]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, range(len(indices)), chunksize=256):
            pass
    return array
