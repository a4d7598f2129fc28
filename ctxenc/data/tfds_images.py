"""Any prepared image set of TensorFlow Datasets, read without TensorFlow."""

import contextlib
import io
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from ctxenc.data import geometry
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError


@dataclass(frozen=True)
class TfdsImages:
    """The chosen images of one split; pixels are decoded when asked for."""

    source: Any
    key: str
    chosen: Sequence[int]
    image_size: int
    origin: str

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        image = self.source[int(self.chosen[index])][self.key]
        if image.shape[-1] == 1:
            image = image.repeat(3, axis=-1)
        return geometry.square(image[..., :3], self.image_size)

    def identity(self, index: int) -> bytes:
        """Name, version, split and position: prepared sets do not change under one version."""
        return f"{self.origin} {self.chosen[index]}".encode()


def tfds_images(
    *,
    name: str,
    data_dir: str | None,
    train_split: str,
    test_split: str,
    image_key: str,
    classes: list[str] | None,
    image_size: int,
) -> Dataset:
    """A prepared TFDS dataset.

    Args:
        name: as TFDS names it, with or without a config and version: ``imagenette/160px-v2:1.0.0``.
        data_dir: where it was prepared; None for TFDS's own default.
        train_split: TFDS split to train on.
        test_split: TFDS split to test on; it may not overlap the other.
        image_key: the feature that holds the image.
        classes: names of the labels to keep; None keeps all.
        image_size: short side resized to this, centre cropped.

    Raises:
        UserError: the dataset is not prepared, or not in a form that needs no TensorFlow.
    """
    builder = prepared(name, data_dir)
    return from_builder(
        builder,
        train_split=train_split,
        test_split=test_split,
        image_key=image_key,
        classes=classes,
        image_size=image_size,
    )


def prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset whose files are already there.

    Raises:
        UserError: they are not; the message says how to get them.
    """
    if name in ("", "???"):
        raise UserError("dataset.name: it takes the name of a TFDS dataset, such as imagenette")
    where = Path(data_dir).expanduser() if data_dir else None
    try:
        builder = tfds.builder(name, data_dir=where, try_gcs=False)
    except Exception as error:  # TFDS raises many kinds, TensorFlow's absence among them
        builder = _from_folder(name, where, error)
    if not builder.data_path.exists():
        raise UserError(not_prepared(name, builder.data_path.parent))
    return builder


def _from_folder(name: str, where: Path | None, error: Exception) -> tfds.core.DatasetBuilder:
    root = (where or Path(tfds.core.constants.DATA_DIR)) / re.split("[:/]", name)[0]
    versions = sorted(root.rglob("dataset_info.json")) if root.is_dir() else []
    if not versions:
        raise UserError(not_prepared(name, root)) from error
    return tfds.builder_from_directory(versions[-1].parent)


def not_prepared(name: str, where: Any) -> str:
    """One line that says what is missing and what to do."""
    return (
        f"dataset.name={name}: not prepared in {where}; set dataset.data_dir to where it is, or, "
        f"where TensorFlow is installed, run: tfds build {name} --file_format=array_record"
    )


def from_builder(
    builder: tfds.core.DatasetBuilder,
    *,
    train_split: str,
    test_split: str,
    image_key: str,
    classes: list[str] | None,
    image_size: int,
) -> Dataset:
    """Both splits of a prepared builder."""
    _check_apart(builder, train_split, test_split)
    splits = {}
    for role, split in (("train", train_split), ("test", test_split)):
        source = _source(builder, role, split, image_key)
        chosen = range(len(source)) if classes is None else _of_classes(builder, split, classes)
        if not len(chosen):
            raise UserError(f"dataset.{role}_split={split}: it has no images of {classes}")
        origin = f"{builder.info.full_name} {split}"
        splits[role] = TfdsImages(source, image_key, chosen, image_size, origin)
    return Dataset(builder.name, splits["train"], splits["test"])


def _source(builder: tfds.core.DatasetBuilder, role: str, split: str, image_key: str) -> Any:
    features = dict(builder.info.features or {})
    if not isinstance(features.get(image_key), tfds.features.Image):
        images = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
        raise UserError(f"dataset.image_key={image_key}: {builder.name} has images in: {images}")
    try:
        return builder.as_data_source(split=split)
    except NotImplementedError:
        raise UserError(
            f"{builder.data_path}: prepared as {builder.info.file_format}; it takes array_record, "
            "which can be read without TensorFlow: tfds build --file_format=array_record"
        ) from None
    except ValueError as error:
        raise UserError(
            f"dataset.{role}_split={split}: {str(error).splitlines()[0]} "
            f"(it has: {', '.join(builder.info.splits)})"
        ) from None


def _of_classes(builder: tfds.core.DatasetBuilder, split: str, classes: list[str]) -> list[int]:
    features = dict(builder.info.features or {})
    label = features.get("label")
    if not isinstance(label, tfds.features.ClassLabel):
        raise UserError(
            f"dataset.classes={classes}: {builder.name} has no class labels; it takes null"
        )
    unknown = [name for name in classes if name not in label.names]
    if unknown or not classes:
        shown = ", ".join(unknown)
        raise UserError(f"dataset.classes=[{shown}]: it takes some of {', '.join(label.names)}")
    wanted = {label.str2int(name) for name in classes}
    undecoded = (k for k, f in features.items() if isinstance(f, tfds.features.Image))
    decoders = {key: tfds.decode.SkipDecoding() for key in undecoded}
    source = builder.as_data_source(split=split, decoders=decoders)
    return [index for index in range(len(source)) if int(source[index]["label"]) in wanted]


def _check_apart(builder: tfds.core.DatasetBuilder, train_split: str, test_split: str) -> None:
    """Refuse splits that share an image: what is tested on is never trained on."""
    try:
        train, test = (_ranges(builder, split) for split in (train_split, test_split))
    except Exception:  # an unknown split: `_source` says which
        return
    for name, start, end in train:
        for other, from_, to in test:
            if name == other and start < to and from_ < end:
                raise UserError(
                    f"dataset.test_split={test_split}: it shares images with "
                    f"dataset.train_split={train_split}; such as train[:90%] and train[90%:] do not"
                )


def _ranges(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[tuple[str, int, int]]:
    for part in builder.info.splits[split].file_instructions:
        size = part.examples_in_shard if part.take == -1 else part.take
        yield str(part.filename), part.skip, part.skip + size


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep TFDS's progress bars, prints and log lines out of ours."""
    logger, level = logging.getLogger("absl"), logging.getLogger("absl").level
    tfds.disable_progress_bar()
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
        tfds.enable_progress_bar()
