"""What every dataset gives: held-apart training and test images, by index."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from ctxenc.data.geometry import Place
from ctxenc.errors import UserError

MEMORY_LIMIT = 2**30  # bytes: splits that decode to more than this are streamed
LARGEST = 4096  # pixels: the short side that pictures are resized to


@runtime_checkable
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


@runtime_checkable
class Photographs(Images, Protocol):
    """Images that are cut out of larger pictures, in the centre where nothing else is asked for."""

    def cut(self, index: int, place: Place | None) -> UInt8[np.ndarray, "height width 3"]:
        """The part of one picture that is at `place`; None for the centre."""


@dataclass(frozen=True)
class RandomCrops:
    """Training images of which each epoch shows another part.

    Asked by index, as for fingerprint and mean colour, they show their centres. They are never
    decoded once for all, since a part is all that is kept of a picture.
    """

    photographs: Photographs

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.photographs.image_size

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        return self.photographs[index]

    def identity(self, index: int) -> bytes:
        """That of the whole picture."""
        return self.photographs.identity(index)

    def of_epoch(self, seed: int, epoch: int) -> Images:
        """The parts that one epoch shows."""
        return _EpochCrops(self.photographs, seed, epoch)


@dataclass(frozen=True)
class _EpochCrops(RandomCrops):
    """Where each is cut is a function of (seed, epoch, index) alone, whoever asks and when."""

    seed: int
    epoch: int

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        down, right = np.random.default_rng([self.seed, self.epoch, index, 1]).random(2)
        return self.photographs.cut(index, (down, right))


@dataclass(frozen=True, eq=False)
class MemoryImages:
    """Decoded images in one array, which does not change: equal to itself alone, to be hashed."""

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
    """The images decoded into one array where they fit and stay the same, else as they are."""
    if isinstance(images, MemoryImages | RandomCrops) or not fits_in_memory(images):
        return images
    return MemoryImages(decode(images, range(len(images))))


def fits_in_memory(images: Images) -> bool:
    """Whether the decoded images take at most `MEMORY_LIMIT` bytes."""
    return len(images) * images.image_size**2 * 3 <= MEMORY_LIMIT


def decode(
    images: Images, indices: Sequence[int], threads: int | None = None
) -> UInt8[np.ndarray, "n height width 3"]:
    """The images at `indices` in one array, decoded by so many threads; None for one a core."""
    if type(images) is MemoryImages:
        return images.array[list(indices)]
    array = np.empty((len(indices), images.image_size, images.image_size, 3), np.uint8)

    def fill(position: int) -> None:
        array[position] = images[indices[position]]

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(fill, range(len(indices))):
            pass
    return array


def check_resize(resize: int | None, image_size: int) -> None:
    """Refuse a short side out of which no image can be cut.

    Raises:
        UserError: naming the option, what it got and what it takes.
    """
    if resize is not None and not image_size <= resize <= LARGEST:
        raise UserError(
            f"dataset.resize={resize}: images of image_size={image_size} are cut out of pictures "
            f"with this short side; it takes {image_size} to {LARGEST}, or null"
        )


def resized(resize: int | None) -> bytes:
    """What this option adds to an image's identity: other pixels, another identity."""
    return b"" if resize is None else f" resize={resize}".encode()
