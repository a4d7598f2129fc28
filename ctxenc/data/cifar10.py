"""CIFAR-10 through TFDS, without TensorFlow."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import requests
from PIL import Image
from tensorflow_datasets.image_classification import cifar

from ctxenc.data.images import Dataset
from ctxenc.data.tfds_images import from_builder, quiet
from ctxenc.errors import UserError

NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

_SIDE = 32
_RECORD = 1 + 3 * _SIDE**2  # bytes in the binary format: a label, then the red, green, blue planes


def cifar10(*, data_dir: str | None, classes: list[str] | None, image_size: int) -> Dataset:
    """CIFAR-10, or some of its classes; prepared on first use where the network allows.

    Args:
        data_dir: where it is, or will be, prepared; None for TFDS's own default.
        classes: names of the classes to keep; None keeps all ten.
        image_size: images are resized to this.

    Raises:
        UserError: it is not there and cannot be downloaded, or a class is unknown.
    """
    builder = Cifar10(data_dir=data_dir, file_format="array_record")
    if not builder.data_path.exists():
        _prepare(builder)
    label = builder.info.features["label"]
    if label.names is None or label.names[0] == "0":  # prepared without its label file
        label.names = list(NAMES)
    return from_builder(
        builder,
        train_split="train",
        test_split="test",
        image_key="image",
        classes=classes,
        image_size=image_size,
    )


class Cifar10(cifar.Cifar10, skip_registration=True):  # type: ignore[call-arg]
    """TFDS's own builder, reading the binary files without TensorFlow's file layer."""

    name = "cifar10"

    def _generate_examples(
        self, split_prefix: str, filepaths: Iterable[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        index = 0
        for path in filepaths:
            for record in np.fromfile(path, np.uint8).reshape(-1, _RECORD):
                pixels = record[1:].reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
                png = io.BytesIO()
                Image.fromarray(pixels).save(png, format="PNG")
                png.seek(0)
                name = f"{split_prefix}{index:05d}"
                yield index, {"id": name, "image": png, "label": int(record[0])}
                index += 1


def _prepare(builder: Cifar10) -> None:
    where = Path(builder.data_path).parent
    try:
        # TFDS tries ten times, for minutes, before it gives up.
        requests.head(builder._cifar_info.url, timeout=5).raise_for_status()
        where.mkdir(parents=True, exist_ok=True)
        with quiet(), filelock.FileLock(where / "prepare.lock"):
            builder.download_and_prepare()
    except Exception as error:  # requests, TFDS and the file system raise many kinds
        raise UserError(
            f"dataset=cifar10: not prepared in {where}, and downloading it failed "
            f"({type(error).__name__}); set dataset.data_dir to where it is prepared, or run once "
            "with a network"
        ) from error
