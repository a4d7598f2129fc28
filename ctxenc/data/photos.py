"""The embedded dataset: crops of the colour photographs that scikit-image carries.

A real TFDS builder, so that it goes the way of every other dataset; it needs no network.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import skimage
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image
from platformdirs import user_cache_path

from ctxenc.data import geometry
from ctxenc.data.images import Dataset
from ctxenc.data.tfds_images import from_builder, quiet
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


def photos(*, data_dir: str | None, image_size: int) -> Dataset:
    """Overlapping crops of `image_size` at several scales, whole photographs held out.

    Prepared on first use, in a few seconds.

    Args:
        data_dir: where the prepared set is kept; None for the user's cache folder.
        image_size: of the crops, in pixels.

    Raises:
        UserError: the size is out of range, or the folder takes no files.
    """
    if not SIZES[0] <= image_size <= SIZES[1]:
        raise UserError(
            f"image_size={image_size}: dataset=photos takes {SIZES[0]} to {SIZES[1]}; "
            "other datasets resize"
        )
    folder = Path(data_dir).expanduser() if data_dir else user_cache_path("ctxenc") / "tfds"
    builder = _builder(folder, image_size)
    try:
        if not builder.data_path.exists():  # else the folder need not be one that can be written
            folder.mkdir(parents=True, exist_ok=True)
            with quiet(), filelock.FileLock(folder / f"photos-{image_size}.lock"):
                builder.download_and_prepare(file_format="array_record")
            # It may be another process that prepared it.
            builder = _builder(folder, image_size)
    except OSError as error:
        raise UserError(
            f"dataset.data_dir={data_dir}: cannot prepare the crops in {folder} "
            f"({error.strerror or error}); it takes a folder that can be written"
        ) from error
    return from_builder(
        builder,
        train_split="train",
        test_split="test",
        image_key="image",
        classes=None,
        image_size=image_size,
    )


def _builder(folder: Path, crop_size: int) -> "Photos":
    with quiet():
        return Photos(data_dir=str(folder), config=PhotosConfig(crop_size))


class PhotosConfig(tfds.core.BuilderConfig):
    """One size of crops."""

    def __init__(self, crop_size: int):
        super().__init__(name=f"crops{crop_size}", description=f"{crop_size}-pixel crops")
        self.crop_size = crop_size


class Photos(tfds.core.GeneratorBasedBuilder):
    """Overlapping multi-scale crops of scikit-image's bundled colour photographs."""

    VERSION = tfds.core.Version("1.1.0")  # a change of the crops is a new version

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.crop_size
        features = {
            "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
            "photograph": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://scikit-image.org",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {
            "train": self._generate_examples(TRAIN, COUNTS["train"]),
            "test": self._generate_examples(TEST, COUNTS["test"]),
        }

    def _generate_examples(
        self, names: tuple[str, ...], count: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for position, name in enumerate(names):
            share = (position + 1) * count // len(names) - position * count // len(names)
            found = crops(photograph(name), self.builder_config.crop_size, share)
            for number, crop in enumerate(found):
                yield f"{name}-{number:05d}", {"image": _png(crop), "photograph": name}


def photograph(name: str) -> UInt8[np.ndarray, "height width 3"]:
    """One of scikit-image's bundled photographs."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
        return np.asarray(image.convert("RGB"))


def crops(
    image: UInt8[np.ndarray, "height width 3"], size: int, count: int
) -> list[UInt8[np.ndarray, "size size 3"]]:
    """`count` crops, spread evenly over the scales and over an overlapping grid on each.

    The grid is as coarse as still gives enough crops that show something. A scale that would
    enlarge the photograph is replaced by the photograph as it is.
    """
    short = min(image.shape[:2])
    factors = sorted({min(1.0, size * scale / short) for scale in SCALES} or {1.0})
    chosen: list[UInt8[np.ndarray, "size size 3"]] = []
    for position, factor in enumerate(factors):
        share = (count - len(chosen)) // (len(factors) - position)
        scaled = geometry.resize(image, factor, at_least=size)
        places = _places(scaled, size, share)
        spread = np.linspace(0, len(places) - 1, min(share, len(places))).round().astype(int)
        chosen += [scaled[t : t + size, u : u + size] for t, u in (places[i] for i in spread)]
    return chosen


def _places(
    image: UInt8[np.ndarray, "height width 3"], size: int, count: int
) -> list[tuple[int, int]]:
    """At least `count` top left corners of crops that are not flat, where there are so many."""
    stride = size // 2
    sample = max(1, size // 32)  # of a large crop's pixels, to judge whether it is flat
    while True:
        rows, columns = (range(0, side - size + 1, stride) for side in image.shape[:2])
        found = [
            (top, left)
            for top in rows
            for left in columns
            if not _flat(image[top : top + size : sample, left : left + size : sample])
        ]
        if len(found) >= count or stride == 1:
            return found
        stride = max(1, stride // 2)


def _flat(crop: UInt8[np.ndarray, "height width 3"]) -> bool:
    return bool(crop.std(axis=(0, 1)).mean() < FLATTEST)


def _png(image: UInt8[np.ndarray, "height width 3"]) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    buffer.seek(0)
    return buffer
