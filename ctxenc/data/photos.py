"""The embedded dataset: crops of the colour photographs that scikit-image carries.

It needs no network and no file: each process cuts the crops out anew, in a fifth of a second.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage
from jaxtyping import Int, UInt8
from PIL import Image

from ctxenc.data.images import Dataset, MemoryImages, Picture
from ctxenc.errors import UserError

TRAIN = (
    "astronaut.png",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",  # the same scene, so the same split
    "retina.jpg",
    "rocket.jpg",
)
TEST = ("chelsea.png", "coffee.png")  # whole photographs, of which no crop is trained on
COUNTS = {"train": 1408, "test": 512}  # crops: 22 and 8 batches of 64

SCALES = (1.5, 2.0, 3.0, 4.0)  # short side of the photograph, in crops: as much in view as in CIFAR
FLATTEST = 30.0  # grey levels: crops with a smaller standard deviation (sky, skin) are left out
SIZES = (16, 256)


def photos(*, image_size: int) -> Dataset:
    """Overlapping crops of `image_size` pixels, at several scales; test photographs are others."""
    if not SIZES[0] <= image_size <= SIZES[1]:
        raise UserError(
            f"image_size={image_size}: must be from {SIZES[0]} to {SIZES[1]} with dataset=photos; "
            "other datasets resize"
        )
    splits = []
    for names, count in ((TRAIN, COUNTS["train"]), (TEST, COUNTS["test"])):
        taken: list[UInt8[np.ndarray, "size size 3"]] = []
        for number, name in enumerate(names, start=1):
            taken += crops(photograph(name), image_size, count * number // len(names) - len(taken))
        splits.append(MemoryImages(np.stack(taken)))
    return Dataset("photos", *splits)


def photograph(name: str) -> Picture:
    """One of scikit-image's photographs."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
        return np.asarray(image.convert("RGB"))


def crops(image: Picture, size: int, count: int) -> list[UInt8[np.ndarray, "size size 3"]]:
    """`count` crops, spread evenly over the scales and over an overlapping grid on each.

    A scale that would enlarge the photograph is replaced by the photograph as it is.
    """
    factors = np.unique(np.minimum(1.0, size * np.array(SCALES) / min(image.shape[:2])))
    chosen: list[UInt8[np.ndarray, "size size 3"]] = []
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
