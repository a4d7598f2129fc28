"""CIFAR-10 through TFDS, without TensorFlow."""

import contextlib
import hashlib
import io
import logging
import shutil
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.image_classification import cifar

from ctxenc.data.images import Dataset
from ctxenc.data.tfds_images import check_classes, prepared, tfds_images
from ctxenc.errors import UserError
from ctxenc.paths import expanded

log = logging.getLogger(__name__)

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
TIMEOUT = 8  # seconds without an answer: no network
NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

_SIDE = 32
_RECORD = 1 + 3 * _SIDE**2  # bytes in the binary format: a label, then the red, green, blue planes


def cifar10(*, data_dir: str | None, classes: tuple[str, ...] | None, image_size: int) -> Dataset:
    """CIFAR-10, or some of its classes; prepared in `data_dir` on first use.

    Without a network, put the official ``cifar-10-binary.tar.gz`` there. The options are explained
    in ``conf/dataset/cifar10.yaml``.

    Raises:
        UserError: it is not there and cannot be downloaded, or a class is unknown.
    """
    if classes is not None:
        check_classes(classes, NAMES)
    folder = expanded(data_dir or tfds.core.constants.DATA_DIR)
    if not _prepared(folder).exists() or _damage(folder):
        _prepare(folder)
    return tfds_images(
        name=f"cifar10:{Cifar10.VERSION}",
        data_dir=str(folder),
        train_split="train",
        validation_split=None,
        test_split="test",
        image_key="image",
        classes=classes,
        image_size=image_size,
    )


def _prepared(folder: Path) -> Path:
    return folder / "cifar10" / str(Cifar10.VERSION)


def _damage(folder: Path) -> str | None:
    """What keeps the last record of a prepared split from being read; those cut off lack it."""
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        builder = prepared(f"cifar10:{Cifar10.VERSION}", str(folder))
        for split in ("train", "test"):
            source: Any = builder.as_data_source(split, deserialize_method=raw)
            source[len(source) - 1]
    except NotImplementedError:  # whole, of a kind that `tfds_images` refuses
        return None
    except Exception as error:  # TFDS and array_record raise many kinds
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


def _prepare(folder: Path) -> None:
    """Prepare CIFAR-10 from the archive in `folder`, downloading it there first if need be."""
    archive = folder / ARCHIVE
    try:
        if not archive.exists():
            urllib.request.urlopen(URL, timeout=TIMEOUT).close()  # before anything is written
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "cifar10.lock"):
            if not archive.exists():
                _download(archive)
            if _prepared(folder).exists() and (damage := _damage(folder)):
                log.warning("%s: made anew, as it is damaged (%s)", _prepared(folder), damage)
                shutil.rmtree(_prepared(folder))
            with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints what it does
                # Nothing, where another process has just prepared it.
                Cifar10(data_dir=str(folder)).download_and_prepare(file_format="array_record")
    except Exception as error:  # a network, a damaged archive and a disk raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"dataset.data_dir={folder}: no prepared cifar10/{Cifar10.VERSION} there, and making "
            f"it failed ({reason}); expected a folder that holds one, or {URL} put into it"
        ) from error


def _download(archive: Path) -> None:
    """Download the archive; the file is there whole or not at all."""
    log.info("downloading CIFAR-10 (170 MB) to %s", archive)
    with urllib.request.urlopen(URL, timeout=TIMEOUT) as answer:
        content = answer.read()
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise OSError(f"{URL} is not the archive it was: its SHA-256 is {digest}")
    part = archive.with_suffix(".part")
    part.write_bytes(content)
    part.replace(archive)


class Cifar10(cifar.Cifar10, skip_registration=True):  # type: ignore[call-arg]
    """TFDS's builder, name, version and layout; reads the archive without TensorFlow.

    TFDS's download manager, extractor and reader all want TensorFlow's file layer.
    """

    name = "cifar10"

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        self.info.features["label"].names = list(NAMES)
        files = {"train": self._cifar_info.train_files, "test": self._cifar_info.test_files}
        return {split: self._generate_examples(split, files[split]) for split in files}

    def _generate_examples(
        self, split: str, files: list[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        with tarfile.open(self.data_dir_root / ARCHIVE) as archive:
            prefix = self._cifar_info.prefix
            opened: Any = [archive.extractfile(prefix + file) for file in files]
            content = b"".join(file.read() for file in opened)
        for index, record in enumerate(np.frombuffer(content, np.uint8).reshape(-1, _RECORD)):
            pixels = record[1:].reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
            png = io.BytesIO()  # encoded here, as TFDS would encode with TensorFlow
            Image.fromarray(pixels).save(png, format="PNG")
            png.seek(0)
            yield index, {"id": f"{split}_{index:05d}", "image": png, "label": int(record[0])}
