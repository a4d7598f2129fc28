"""A dataset's two splits: images by index, in memory or decoded when asked for.

See `ctxenc.data` for what a dataset of your own has to offer.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from ctxenc.data.geometry import CENTRE, Place, square
from ctxenc.errors import UserError

MEMORY_LIMIT = 2**30  # bytes: splits that decode to more than this are streamed
SPLITS = 2  # of a dataset: so many results are kept, and with them the images
SAMPLE = 10_000  # images: the mean colour of more is estimated from this many, evenly spread
LARGEST = 4096  # pixels: the short side that pictures may be resized to

Function = TypeVar("Function", bound=Callable[..., Any])


@runtime_checkable
class Images(Protocol):
    """RGB images of one square size; the same index always gives the same image.

    They may also have ``identity(index) -> bytes``: what tells an image from others. Without, its
    pixels do.
    """

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]: ...


@dataclass(frozen=True, eq=False)
class MemoryImages:
    """Decoded images, equal to themselves alone.

    Attributes:
        array: RGB, uint8, of shape (images, size, size, 3); it must not change.

    Raises:
        UserError: the array is of another kind.
    """

    array: np.ndarray

    def __post_init__(self) -> None:
        kind, shape = self.array.dtype, self.array.shape
        if kind != np.uint8 or len(shape) != 4 or shape[1:] != (shape[1], shape[1], 3):
            raise UserError(
                f"dataset: an array of {kind} {shape}; expected uint8 (images, size, size, 3)"
            )

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.array.shape[1]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "size size 3"]:
        return self.array[index]


@runtime_checkable
class Pictures(Protocol):
    """Pictures of any size, by index, decoded when asked for."""

    def __len__(self) -> int: ...

    def read(self, index: int, at_least: int) -> UInt8[np.ndarray, "height width 3"]:
        """One of them; a decoder may shrink it as long as both sides are `at_least` so long."""

    def name(self, index: int) -> bytes:
        """What tells it from others, without decoding it."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """The central squares of pictures.

    Attributes:
        pictures: of any size.
        image_size: of the squares, in pixels.
        resize: the pictures' short side before a square is cut out of them; None: the square is as
            large as the picture allows, and then resized.

    Raises:
        UserError: `resize` is smaller than the square, or too large.
    """

    pictures: Pictures
    image_size: int
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.resize is not None and not self.image_size <= self.resize <= LARGEST:
            raise UserError(
                f"dataset.resize={self.resize}: must be from image_size={self.image_size} to "
                f"{LARGEST}, or null"
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "size size 3"]:
        picture = self.pictures.read(index, at_least=self.resize or self.image_size)
        return square(picture, self.image_size, self.resize, self._place(index))

    def _place(self, index: int) -> Place:
        return CENTRE

    def identity(self, index: int) -> bytes:
        """The picture's name, and how it is resized: other pixels, another identity."""
        suffix = "" if self.resize is None else f" resize={self.resize}"
        return self.pictures.name(index) + suffix.encode()


@dataclass(frozen=True, eq=False)
class RandomCrops(Photographs):
    """Training images of which each epoch shows another part; `resize` leaves some to spare.

    Asked by index, as for fingerprint and mean colour, they show their centres. They are never
    decoded once for all, since a part is all that would be kept of a picture.

    Attributes:
        epoch: (seed, epoch), which with the index decide where; None for the centres.
    """

    epoch: tuple[int, int] | None = None

    def _place(self, index: int) -> Place:
        if self.epoch is None:
            return CENTRE
        down, right = np.random.default_rng([*self.epoch, index, 1]).random(2)
        return down, right

    def of_epoch(self, seed: int, epoch: int) -> "RandomCrops":
        """The parts that one epoch shows."""
        return replace(self, epoch=(seed, epoch))


@dataclass(frozen=True)
class Dataset:
    """Two splits that share no image; `test` is never trained on."""

    name: str
    train: Images
    test: Images

    @classmethod
    def of_pictures(
        cls, name: str, train: Pictures, test: Pictures, image_size: int, resize: int | None
    ) -> "Dataset":
        """Squares cut out of pictures: see `Photographs`. With `resize`, training ones at random.

        Raises:
            UserError: `resize` is smaller than `image_size`, or too large.
        """
        shown = Photographs if resize is None else RandomCrops
        held_out = Photographs(test, image_size, resize)
        return cls(name, shown(train, image_size, resize), held_out)


def in_memory(images: Images) -> Images:
    """The images decoded into one array where they fit and stay the same, else as they are."""
    decoded_bytes = len(images) * images.image_size**2 * 3
    if isinstance(images, MemoryImages | RandomCrops) or decoded_bytes > MEMORY_LIMIT:
        return images
    return MemoryImages(decode(images, range(len(images))))


def decode(
    images: Images, indices: Sequence[int], threads: int | None = None
) -> UInt8[np.ndarray, "n size size 3"]:
    """The images at `indices` in one array, decoded by so many threads; None for one a core."""
    if type(images) is MemoryImages:
        return images.array[list(indices)]
    array = np.empty((len(indices), images.image_size, images.image_size, 3), np.uint8)

    def fill(position: int) -> None:
        array[position] = images[indices[position]]

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(fill, range(len(indices))))  # raises what a thread has raised
    return array


def once_per_split(compute: Function) -> Function:
    """Have a function of images keep its results for those in memory, which never change.

    The jobs of a sweep share them. Its other arguments must be hashable.
    """
    kept: Callable[..., Any] = functools.lru_cache(SPLITS)(compute)

    @functools.wraps(compute)
    def computed(images: Images, *others: Any, **named: Any) -> Any:
        function = kept if isinstance(images, MemoryImages) else compute
        return function(images, *others, **named)

    return cast(Function, computed)


@once_per_split
def fingerprint(images: Images) -> str:
    """SHA-256 over what tells each image from others, in order: equal for equal splits."""
    digest = hashlib.sha256(f"{len(images)} {images.image_size}".encode())
    identity = getattr(images, "identity", None)
    for index in range(len(images)):
        own = identity(index) if identity else images[index].tobytes()
        digest.update(hashlib.sha256(own).digest())
    return digest.hexdigest()


@once_per_split
def mean_colour(images: Images) -> Float[np.ndarray, " 3"]:
    """The mean of every pixel, red, green and blue in [-1, 1].

    That of images which have yet to be decoded is kept for later processes, by their fingerprint.
    """
    streamed = not isinstance(images, MemoryImages)
    if streamed:
        from ctxenc.data import cache  # takes 40 ms, which images in memory need not spend

        key = f"mean colour of {fingerprint(images)}"
        if kept := cache.load(key):
            return np.array(kept)
    count, total = min(len(images), SAMPLE), np.zeros(3)
    indices = np.linspace(0, len(images) - 1, count).round().astype(int)
    for start in range(0, count, 500):
        part = decode(images, indices[start : start + 500].tolist())
        total += part.mean(axis=(1, 2), dtype=np.float64).sum(axis=0)
    colour: Float[np.ndarray, " 3"] = total / count / 127.5 - 1
    if streamed:
        cache.save(key, colour.tolist())
    colour.flags.writeable = False
    return colour
