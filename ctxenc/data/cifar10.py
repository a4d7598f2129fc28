"""CIFAR-10 through TFDS, without TensorFlow."""

import hashlib
import http.client
import io
import logging
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import registered
from tensorflow_datasets.image_classification import cifar

from ctxenc.data.images import Dataset
from ctxenc.data.tfds_images import from_builder, quiet
from ctxenc.errors import UserError

log = logging.getLogger(__name__)

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
TIMEOUT = 8  # seconds without an answer: no network
# What a network, an archive that is damaged and a disk may raise.
FAILURES = (OSError, http.client.HTTPException, tarfile.TarError, KeyError, ValueError, EOFError)
SPLITS = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

_SIDE = 32
_RECORD = 1 + 3 * _SIDE**2  # bytes in the binary format: a label, then the red, green, blue planes


def cifar10(*, data_dir: str | None, classes: list[str] | None, image_size: int) -> Dataset:
    """CIFAR-10, or some of its classes; prepared on first use where the network allows.

    Without a network, put the official ``cifar-10-binary.tar.gz`` into `data_dir`.

    Args:
        data_dir: where it is, or will be, prepared; None for TFDS's own default.
        classes: names of the classes to keep; None keeps all ten.
        image_size: images are resized to this.

    Raises:
        UserError: it is not there and cannot be downloaded, or a class is unknown.
    """
    if classes is not None and (not classes or not set(classes) <= set(NAMES)):
        shown = ", ".join(classes)
        raise UserError(f"dataset.classes=[{shown}]: it takes some of {', '.join(NAMES)}")
    folder = Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    builder = Cifar10(data_dir=str(folder))  # in whatever format it was prepared
    if not builder.data_path.exists():
        prepare(builder, folder)
        builder = Cifar10(data_dir=str(folder))  # it may be another process that prepared it
    return from_builder(
        builder,
        train_split="train",
        test_split="test",
        image_key="image",
        classes=classes,
        image_size=image_size,
    )


def prepare(builder: "Cifar10", folder: Path) -> None:
    """Prepare `builder` from the archive in `folder`, downloading it there first if need be.

    Raises:
        UserError: no archive and no network, a damaged archive, or a folder that takes no files.
    """
    try:
        if not (folder / ARCHIVE).exists():
            urllib.request.urlopen(URL, timeout=TIMEOUT).close()  # before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        with quiet(), filelock.FileLock(folder / "cifar10.lock"):
            if not (folder / ARCHIVE).exists():
                _download(folder / ARCHIVE)
            builder.archive = folder / ARCHIVE
            builder.download_and_prepare(file_format="array_record")
    except FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"dataset.data_dir={folder}: no prepared cifar10/{builder.version} there, and making "
            f"it failed ({reason}); it takes a folder that holds one, or put {URL} into it"
        ) from error


def _download(file: Path) -> None:
    """Download the archive; `file` is there whole or not at all."""
    log.info("downloading CIFAR-10 (170 MB) to %s", file)
    part = file.with_suffix(".part")
    digest = hashlib.sha256()
    with urllib.request.urlopen(URL, timeout=TIMEOUT) as answer, part.open("wb") as target:
        while block := answer.read(1 << 20):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != SHA256:
        part.unlink()
        raise OSError(f"{URL} is not the archive it was: its SHA-256 is {digest.hexdigest()}")
    part.replace(file)


with registered.skip_registration():  # TFDS's own keeps the name

    class Cifar10(cifar.Cifar10):
        """TFDS's builder, name, version and layout; reads the archive without TensorFlow.

        TFDS's download manager, extractor and reader all want TensorFlow's file layer.
        """

        name = "cifar10"
        archive: Path

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
            del dl_manager
            self.info.features["label"].names = list(NAMES)
            return {split: self._generate_examples(split, files) for split, files in SPLITS.items()}

        def _generate_examples(
            self, split: str, files: tuple[str, ...]
        ) -> Iterator[tuple[int, dict[str, Any]]]:
            index = 0
            with tarfile.open(self.archive) as archive:
                for file in files:
                    content = archive.extractfile(f"cifar-10-batches-bin/{file}")
                    assert content is not None  # regular files, in an archive of this layout
                    for record in np.frombuffer(content.read(), np.uint8).reshape(-1, _RECORD):
                        yield index, example(record, f"{split}_{index:05d}")
                        index += 1


def example(record: np.ndarray, name: str) -> dict[str, Any]:
    """A record of CIFAR's binary format, as TFDS takes it."""
    png = io.BytesIO()
    pixels = record[1:].reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
    Image.fromarray(pixels).save(png, format="PNG")
    png.seek(0)
    return {"id": name, "image": png, "label": int(record[0])}
