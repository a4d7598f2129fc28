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
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)
TEST = ("chelsea.png", "coffee.png")  # whole photographs, of which no crop is trained on

SCALES = (1.5, 2.0, 3.0, 4.0)  # short side of the photograph, in crops: as much in view as in CIFAR
STRIDE = 0.25  # of a crop: neighbours overlap by three quarters
FLATTEST = 10.0  # grey levels: crops with a smaller standard deviation (black sky) are left out
SIZES = (16, 256)


def photos(*, data_dir: str | None, image_size: int) -> Dataset:
    """Overlapping crops of `image_size` at several scales, whole photographs held out.

    Prepared on first use, in a few seconds.

    Args:
        data_dir: where the prepared set is kept; None for the user's cache folder.
        image_size: of the crops, in pixels.

    Raises:
        UserError: the size is out of range.
    """
    if not SIZES[0] <= image_size <= SIZES[1]:
        raise UserError(
            f"image_size={image_size}: dataset=photos takes {SIZES[0]} to {SIZES[1]}; "
            "other datasets resize"
        )
    folder = Path(data_dir).expanduser() if data_dir else user_cache_path("ctxenc") / "tfds"
    folder.mkdir(parents=True, exist_ok=True)
    with quiet(), filelock.FileLock(folder / f"photos-{image_size}.lock"):
        builder = Photos(
            data_dir=str(folder), config=PhotosConfig(image_size), file_format="array_record"
        )
        builder.download_and_prepare()
    return from_builder(
        builder,
        train_split="train",
        test_split="test",
        image_key="image",
        classes=None,
        image_size=image_size,
    )


class PhotosConfig(tfds.core.BuilderConfig):
    """One size of crops."""

    def __init__(self, crop_size: int):
        super().__init__(name=f"crops{crop_size}", description=f"{crop_size}-pixel crops")
        self.crop_size = crop_size


class Photos(tfds.core.GeneratorBasedBuilder):
    """Overlapping multi-scale crops of scikit-image's bundled colour photographs."""

    VERSION = tfds.core.Version("1.0.0")

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
        return {"train": self._generate_examples(TRAIN), "test": self._generate_examples(TEST)}

    def _generate_examples(self, names: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in names:
            for number, crop in enumerate(crops(photograph(name), self.builder_config.crop_size)):
                example = {"image": io.BytesIO(_png(crop)), "photograph": name}
                yield f"{name}-{number:05d}", example


def photograph(name: str) -> UInt8[np.ndarray, "height width 3"]:
    """One of scikit-image's bundled photographs."""
    file = Path(skimage.__file__).parent / "data" / name
    return np.asarray(Image.open(file).convert("RGB"))


def crops(
    image: UInt8[np.ndarray, "height width 3"], size: int
) -> Iterator[UInt8[np.ndarray, "size size 3"]]:
    """Crops on an overlapping grid, at each of `SCALES`; those that show nothing are left out."""
    stride = max(1, round(size * STRIDE))
    for scale in SCALES:
        scaled = geometry.resize(image, size * scale / min(image.shape[:2]), at_least=size)
        height, width = scaled.shape[:2]
        for top in range(0, height - size + 1, stride):
            for left in range(0, width - size + 1, stride):
                crop = scaled[top : top + size, left : left + size]
                if crop.std(axis=(0, 1)).mean() >= FLATTEST:
                    yield crop


def _png(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
