"""The embedded dataset: crops of photographs that scikit-image and Matplotlib carry.

It needs no network and no file: each process cuts the crops out anew.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

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
LOGARITHMS = tuple(np.log([SCALES[0], SCALES[-1]]).tolist())
FLATTEST = 30.0  # grey levels: crops with a smaller standard deviation (sky, skin) are left out
TRIES = 100  # places that are drawn before a flat crop is taken
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
        random = np.random.default_rng([*self.epoch, index, 1])
        image = shrunk(self.of.names[index % len(self.of.names)], self.image_size)
        shorter = min(image.shape[:2])
        for _ in range(TRIES):
            scale = np.exp(random.uniform(*LOGARITHMS))
            side = max(self.image_size, round(shorter / scale))
            top, left = (random.integers(0, length - side + 1) for length in image.shape[:2])
            region = image[top : top + side, left : left + side]
            # Means of pixels differ no more than the pixels; rounded, by less than a level more.
            if _deviation(region) >= FLATTEST - 1:
                crop = self._resized(region)
                if _deviation(crop) >= FLATTEST:
                    return crop
        return self._resized(region)

    def _resized(self, region: Picture) -> Crop:
        size = self.image_size, self.image_size
        return np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8)


def _deviation(image: Picture) -> float:
    """Grey levels, the mean over colours."""
    return sum(cv2.meanStdDev(image)[1].ravel().tolist()) / 3  # ten times as fast as NumPy's


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
    factor = min(1.0, 2 * SCALES[-1] * size / min(image.shape[:2]))
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))


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
        corners = _corners(scaled, size, share)
        spread = np.linspace(0, len(corners) - 1, min(share, len(corners))).round().astype(int)
        chosen += [scaled[top : top + size, left : left + size] for top, left in corners[spread]]
    return chosen


def _corners(image: Picture, size: int, count: int) -> Int[np.ndarray, "corners 2"]:
    """The top left corners of crops that are not flat, on a grid as coarse as gives `count`."""
    # Every crop's standard deviation at once, from the sums over all rectangles at the top left.
    sums, squares = [
        table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]
        for table in cv2.integral2(image, sdepth=cv2.CV_64F)
    ]
    variance = squares / size**2 - (sums / size**2) ** 2
    shown = np.sqrt(variance.clip(0)).mean(axis=-1) >= FLATTEST
    stride = size // 2
    while True:
        corners = np.argwhere(shown[::stride, ::stride]) * stride
        if len(corners) >= count or stride == 1:
            return corners
        stride //= 2
