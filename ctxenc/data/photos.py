"""The embedded dataset: crops of photographs that scikit-image and Matplotlib carry.

It needs no network and no file: each process cuts the crops out anew.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from ctxenc.data.images import Dataset, Picture
from ctxenc.errors import UserError

TRAIN = (
    "astronaut.png",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",  # the same scene, so the same split
    "retina.jpg",
    "rocket.jpg",
)
VALIDATION = ("grace_hopper.jpg",)
TEST = ("chelsea.png", "coffee.png")  # whole photographs, of which no crop is trained on
COUNTS = {"train": 1408, "validation": 256, "test": 512}  # crops: 22, 4 and 8 batches of 64

SCALES = (1.5, 2.0, 3.0, 4.0)  # short side of the photograph, in crops: as much in view as in CIFAR
EPOCH_SCALES = np.geomspace(SCALES[0], SCALES[-1], 16)  # of crops that are drawn every epoch
FLATTEST = 30.0  # grey levels: crops with a smaller standard deviation (sky, skin) are left out
TRIES = 100  # places that are drawn before a crop is taken that is flat once it is smaller
SIZES = (16, 256)

Crop = UInt8[np.ndarray, "size size 3"]


@dataclass(frozen=True, eq=False)
class Crops:
    """Overlapping crops of `image_size` pixels, at several scales, cut out once they are wanted."""

    names: Sequence[str]
    image_size: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Crop:
        return self._all[index]

    @functools.cached_property
    def _all(self) -> list[Crop]:
        taken: list[Crop] = []
        for number, name in enumerate(self.names, start=1):
            share = self.count * number // len(self.names) - len(taken)
            taken += crops(photograph(name), self.image_size, share)
        return taken


@dataclass(frozen=True, eq=False)
class NewCrops(Crops):
    """As many crops of each photograph, drawn anew every epoch."""

    most_workers: ClassVar[int] = 1  # two take nearly twice one's processor time

    def of_epoch(self, seed: int, epoch: int) -> "EpochCrops":
        """What one epoch shows."""
        return EpochCrops(self, (seed, epoch))


@dataclass(frozen=True, eq=False)
class EpochCrops:
    """The crops of one epoch, of which (seed, epoch, index) decides on place and scale."""

    of: NewCrops
    epoch: tuple[int, int]

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.of.image_size

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: int) -> Crop:
        random, size = np.random.default_rng([*self.epoch, index, 1]), self.image_size
        name = self.of.names[index % len(self.of.names)]
        for _ in range(TRIES):
            side, corners = places(name, size)[random.integers(len(EPOCH_SCALES))]
            top, left = corners[random.integers(len(corners))].tolist()
            region = shrunk(name, size)[top : top + side, left : left + side]
            crop = cv2.resize(region, (size, size), interpolation=cv2.INTER_AREA)
            if cv2.meanStdDev(crop)[1].mean() >= FLATTEST:
                break
        return np.asarray(crop, np.uint8)


def photos(*, image_size: int) -> Dataset:
    """Crops of `image_size` pixels; those of validation and test are of other photographs."""
    if not SIZES[0] <= image_size <= SIZES[1]:
        raise UserError(
            f"image_size={image_size}: must be from {SIZES[0]} to {SIZES[1]} with dataset=photos; "
            "other datasets resize"
        )
    train = NewCrops(TRAIN, image_size, COUNTS["train"])
    validation = Crops(VALIDATION, image_size, COUNTS["validation"])
    return Dataset("photos", train, validation, Crops(TEST, image_size, COUNTS["test"]))


def photograph(name: str) -> Picture:
    """One of the photographs that scikit-image and Matplotlib are installed with."""
    package, folder = "skimage", "data"
    if name in VALIDATION:
        package, folder = "matplotlib", "mpl-data/sample_data"
    with as_file(files(package) / folder / name) as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


@functools.lru_cache(maxsize=16)
def shrunk(name: str, size: int) -> Picture:
    """A photograph no larger than crops of `size` pixels need, so that cutting them out is fast."""
    image = photograph(name)
    factor = min(1.0, SCALES[-1] * size / min(image.shape[:2]))
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


@functools.lru_cache(maxsize=16)
def places(name: str, size: int) -> list[tuple[int, Int[np.ndarray, "corners 2"]]]:
    """For each of `EPOCH_SCALES`, the side of crops in the photograph, and where they may begin."""
    image = shrunk(name, size)
    sides = [max(size, round(min(image.shape[:2]) / scale)) for scale in EPOCH_SCALES]
    tables, stride = _tables(image), max(1, size // 32)
    return [(side, _corners(tables, side, stride)) for side in sides]


def crops(image: Picture, size: int, count: int) -> list[Crop]:
    """`count` crops, spread evenly over the scales and over an overlapping grid on each.

    A scale that would enlarge the photograph is replaced by the photograph as it is.
    """
    factors = np.unique(np.minimum(1.0, size * np.array(SCALES) / min(image.shape[:2])))
    chosen: list[Crop] = []
    for position, factor in enumerate(factors.tolist()):
        share = (count - len(chosen)) // (len(factors) - position)
        height, width = [max(size, round(side * factor)) for side in image.shape[:2]]
        scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        corners = _enough_corners(scaled, size, share)
        spread = np.linspace(0, len(corners) - 1, min(share, len(corners))).round().astype(int)
        chosen += [scaled[top : top + size, left : left + size] for top, left in corners[spread]]
    return chosen


def _enough_corners(image: Picture, size: int, count: int) -> Int[np.ndarray, "corners 2"]:
    """The top left corners of crops that are not flat, on a grid as coarse as gives `count`."""
    tables, stride = _tables(image), size // 2
    while True:
        corners = _corners(tables, size, stride)
        if len(corners) >= count or stride == 1:
            return corners
        stride //= 2


def _tables(image: Picture) -> Sequence[np.ndarray]:
    """Sums over all rectangles at the top left: of the levels, and of their squares."""
    return cv2.integral2(image, sdepth=cv2.CV_64F)


def _corners(tables: Sequence[np.ndarray], side: int, stride: int) -> Int[np.ndarray, "corners 2"]:
    """Where, on a grid of `stride` pixels, crops of `side` pixels begin that are not flat."""
    least, most = slice(None, -side, stride), slice(side, None, stride)
    sums, squares = [
        table[most, most] - table[least, most] - table[most, least] + table[least, least]
        for table in tables
    ]
    variance = squares / side**2 - (sums / side**2) ** 2
    return np.argwhere(np.sqrt(variance.clip(0)).mean(axis=-1) >= FLATTEST) * stride
