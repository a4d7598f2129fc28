"""A dataset's splits: images by index, in memory or decoded when asked for (see `ctxenc.data`)."""

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8

from ctxenc.data.labels import Labels
from ctxenc.errors import UserError

MEMORY_LIMIT = 2**30  # bytes: splits that decode to more than this are streamed
SAMPLE = 10_000  # images: the mean colour of more is estimated from this many, evenly spread
LARGEST = 4096  # pixels: the short side that pictures may be resized to
LONGEST = 8  # short sides: the ends of a longer picture are left out, so that memory is bounded
HELD_OUT = 0.1  # of the training split, for validation, where a source has two splits

Picture = UInt8[np.ndarray, "height width 3"]
Place = tuple[float, ...]
"""Where a square is cut out: 0 is the top (the left edge), and just below 1 the bottom (right)."""
CENTRE: Place = 0.499999, 0.499999  # of two places next to the middle, the upper (left) one

Function = TypeVar("Function", bound=Callable[..., Any])


@runtime_checkable
class Images(Protocol):
    """RGB images of one square size; the same index always gives the same image.

    They may also have ``identity(index) -> bytes``, which tells an image from others; otherwise its
    pixels do; and ``labels() -> Labels``, the class of each.
    """

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture: ...


@runtime_checkable
class EpochImages(Images, Protocol):
    """Training images that change every epoch, and so are not kept in memory.

    Without an epoch they are those whose fingerprint and mean colour stand for the split. Where
    more threads than some number gain nothing, a `most_workers` says so.
    """

    def of_epoch(self, seed: int, epoch: int) -> Images:
        """The images of one epoch."""


@dataclass(frozen=True, eq=False)
class MemoryImages:
    """Decoded images, equal to themselves alone."""

    array: np.ndarray  # RGB, uint8, of shape (images, size, size, 3); it must not change
    labels: Callable[[], Labels] | None = None  # of those that have classes

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
    """Pictures of any size, by index, decoded when asked for.

    They may also have ``labels() -> Labels``, the class of each.
    """

    def __len__(self) -> int: ...

    def read(self, index: int, at_least: int) -> Picture:
        """One of them; a decoder may shrink it as long as both sides are `at_least` so long."""

    def name(self, index: int) -> bytes:
        """What tells it from others, without decoding it."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """Central squares of `image_size` pixels, cut out of pictures of any size.

    `resize` is the pictures' short side before that; without, the square is as large as the picture
    allows, and then resized.
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

    @property
    def labels(self) -> Callable[[], Labels] | None:
        """What reads the pictures' classes; None where they have none."""
        return getattr(self.pictures, "labels", None)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "size size 3"]:
        return self.cut(index, CENTRE, self.resize)

    def cut(
        self, index: int, place: Place, short_side: int | None
    ) -> UInt8[np.ndarray, "size size 3"]:
        """The square of one picture at a place, once it is resized to a short side."""
        picture = self.pictures.read(index, at_least=short_side or self.image_size)
        return square(picture, self.image_size, short_side, place)

    def identity(self, index: int) -> bytes:
        """The picture's name, and how it is resized: other pixels, another identity."""
        resized = "" if self.resize is None else f" resize={self.resize}"
        return self.pictures.name(index) + resized.encode()


@dataclass(frozen=True, eq=False)
class RandomCrops(Photographs):
    """Squares that are cut out elsewhere every epoch; without an epoch, the central ones.

    With `resize_most` at another scale, too: a short side from `resize` to that, evenly spread over
    the logarithms.
    """

    resize_most: int | None = None
    epoch: tuple[int, int] | None = None  # (seed, epoch), which with the index decide where

    def __post_init__(self) -> None:
        super().__post_init__()
        least, most = self.resize, self.resize_most
        if most is not None and (least is None or not least <= most <= LARGEST):
            raise UserError(
                f"dataset.resize_most={most}: must be from dataset.resize={least} to {LARGEST}, "
                "or null"
            )

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "size size 3"]:
        if self.epoch is None:
            return super().__getitem__(index)
        random, short_side = np.random.default_rng([*self.epoch, index, 1]), self.resize
        place = tuple(random.random(2).tolist())
        if self.resize is not None and self.resize_most is not None:
            short_side = round(self.resize * (self.resize_most / self.resize) ** random.random())
        return self.cut(index, place, short_side)

    def identity(self, index: int) -> bytes:
        """As of all photographs, and to which scales."""
        most = "" if self.resize_most is None else f" resize_most={self.resize_most}"
        return super().identity(index) + most.encode()

    def of_epoch(self, seed: int, epoch: int) -> "RandomCrops":
        """What one epoch shows."""
        return replace(self, epoch=(seed, epoch))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits that share no image.

    Training is tested on `validation`, by which every choice is made; `test` is for
    `ctxenc.evaluate` alone. Of a source with two splits, `held_out` divides the training images.
    """

    name: str
    train: Images
    validation: Images
    test: Images

    @classmethod
    def of_pictures(
        cls,
        name: str,
        train: Pictures,
        validation: Pictures,
        test: Pictures,
        image_size: int,
        resize: int | None,
        resize_most: int | None = None,
    ) -> "Dataset":
        """Squares cut out of pictures: with `resize`, those to train on at random.

        Raises:
            UserError: `resize` is smaller than `image_size`, or above `LARGEST`; so `resize_most`,
                or it is smaller than `resize`.
        """
        others = [Photographs(pictures, image_size, resize) for pictures in (validation, test)]
        if resize is None and resize_most is None:
            return cls(name, Photographs(train, image_size), *others)
        return cls(name, RandomCrops(train, image_size, resize, resize_most), *others)


def held_out(count: int) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " validation"]]:
    """The images to train on and those to validate on, of so many: always the same, in order.

    The last tenth of a seeded permutation is held out.
    """
    last = np.random.default_rng(0).permutation(count)[count - round(HELD_OUT * count) :]
    validation = np.zeros(count, bool)
    validation[last] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def square(
    image: Picture, size: int, short_side: int | None = None, place: Place = CENTRE
) -> UInt8[np.ndarray, "size size 3"]:
    """A square of `size` pixels, cut out at `place` once the image is resized to `short_side`.

    Pathak et al. cut 128 out of 350. Without a `short_side` the largest square is resized. Area
    averages shrink, so that fine detail does not alias; cubic interpolation enlarges.
    """
    import cv2  # takes 0.1 s, which images in memory need not spend

    shorter, least = min(image.shape[:2]), short_side or size
    longest = shorter * (LONGEST if short_side else 1)
    top, left = [max(0, side - longest) // 2 for side in image.shape[:2]]
    image = image[top : top + longest, left : left + longest]
    scale = least / shorter
    height, width = [max(least, round(side * scale)) for side in image.shape[:2]]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
    spare = height - size, width - size
    top, left = [int(at * (pixels + 1)) for at, pixels in zip(place, spare, strict=True)]
    return image[top : top + size, left : left + size]


def in_memory(images: Images) -> Images:
    """The images decoded into one array where they fit and stay the same, else as they are."""
    too_many = len(images) * images.image_size**2 * 3 > MEMORY_LIMIT
    if isinstance(images, MemoryImages | EpochImages) or too_many:
        return images
    labels = getattr(images, "labels", None)
    return MemoryImages(decode(images, range(len(images))), labels)


def decode(images: Images, indices: Sequence[int]) -> UInt8[np.ndarray, "n size size 3"]:
    """The images at `indices` in one array, decoded by a thread a core."""
    if type(images) is MemoryImages:
        return images.array[list(indices)]
    array = np.empty((len(indices), images.image_size, images.image_size, 3), np.uint8)

    def fill(position: int) -> None:
        array[position] = images[indices[position]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(len(indices))))  # raises what a thread has raised
    return array


def once_per_split(compute: Function) -> Function:
    """Have a function of images keep its results for those in memory, which never change.

    The jobs of a sweep share them. Its other arguments must be hashable.
    """
    kept: Callable[..., Any] = functools.lru_cache(maxsize=2)(compute)  # with its two splits

    @functools.wraps(compute)
    def computed(images: Images, *others: Any) -> Any:
        return (kept if isinstance(images, MemoryImages) else compute)(images, *others)

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
