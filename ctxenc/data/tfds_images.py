"""Any prepared image set of TensorFlow Datasets, read without TensorFlow."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from tensorflow_datasets.proto import tf_example_pb2

from ctxenc.data import geometry
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError

BLOCK = 10_000  # records read at once where only their labels are wanted


@dataclass(frozen=True)
class TfdsImages:
    """The chosen images of one split; pixels are decoded when asked for."""

    records: Any  # serialized examples, by index
    key: str
    feature: tfds.features.Image
    chosen: Sequence[int]
    image_size: int
    origin: str

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        # TFDS's own parser of examples is several times slower than protobuf's.
        encoded = _values(self.records[int(self.chosen[index])], self.key).bytes_list.value[0]
        return geometry.square(_rgb(self.feature.decode_example_np(encoded)), self.image_size)

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
    return from_builder(
        prepared(name, data_dir),
        train_split=train_split,
        test_split=test_split,
        image_key=image_key,
        classes=classes,
        image_size=image_size,
    )


def prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset whose files are already there; runs none of the dataset's code.

    Raises:
        UserError: they are not; the message says how to get them.
    """
    if name in ("", "???"):
        raise UserError("dataset.name: it takes the name of a TFDS dataset, such as imagenette")
    folder = Path(data_dir).expanduser() if data_dir else None
    try:
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=folder)
    except (tfds.core.DatasetNotFoundError, ValueError, AttributeError):
        where = folder or tfds.core.constants.DATA_DIR
        raise UserError(
            f"dataset.name={name}: not prepared in {where}; set dataset.data_dir to where it is, "
            f"or, where TensorFlow is installed, run: tfds build {name} --file_format=array_record"
        ) from None


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
    features = dict(builder.info.features or {})
    feature = features.get(image_key)
    if not isinstance(feature, tfds.features.Image):
        keys = sorted(k for k, f in features.items() if isinstance(f, tfds.features.Image))
        raise UserError(
            f"dataset.image_key={image_key}: {builder.name} takes {', '.join(keys) or 'no image'}"
        )
    asked = {"train": train_split, "test": test_split}
    records = {role: _records(builder, role, split) for role, split in asked.items()}
    _check_apart(builder, train_split, test_split)

    def images(role: str) -> TfdsImages:
        chosen: Sequence[int] = range(len(records[role]))
        if classes is not None:
            chosen = _of_classes(builder, records[role], classes)
        if not chosen:
            raise UserError(f"dataset.{role}_split={asked[role]}: it has no images of {classes}")
        origin = f"{builder.info.full_name} {asked[role]}"
        return TfdsImages(records[role], image_key, feature, chosen, image_size, origin)

    return Dataset(builder.name, images("train"), images("test"))


def _records(builder: tfds.core.DatasetBuilder, role: str, split: str) -> Any:
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        if not builder.info.splits[split].num_examples:
            raise ValueError("no images")
        return builder.as_data_source(split=split, deserialize_method=raw)
    except NotImplementedError:
        raise UserError(
            f"{builder.data_path}: prepared as {builder.info.file_format.value}; it takes "
            "array_record, which can be read without TensorFlow: where TensorFlow is installed, "
            f"run: tfds build {builder.name} --file_format=array_record"
        ) from None
    except (ValueError, KeyError):
        known = ", ".join(f"{name} ({s.num_examples})" for name, s in builder.info.splits.items())
        raise UserError(
            f"dataset.{role}_split={split}: {builder.name} takes {known}, or slices of them such "
            "as train[:90%], with an image in them"
        ) from None


def _of_classes(
    builder: tfds.core.DatasetBuilder, records: Any, classes: Sequence[str]
) -> list[int]:
    label = dict(builder.info.features or {}).get("label")
    if not isinstance(label, tfds.features.ClassLabel):
        raise UserError(f"dataset.classes={classes}: {builder.name} has no labels; it takes null")
    if not classes or not set(classes) <= set(label.names):
        shown = ", ".join(classes)
        raise UserError(f"dataset.classes=[{shown}]: it takes some of {', '.join(label.names)}")
    wanted = {label.str2int(name) for name in classes}
    found = []
    for start in range(0, len(records), BLOCK):
        block = range(start, min(start + BLOCK, len(records)))
        labels = [
            _values(record, "label").int64_list.value[0] for record in records.__getitems__(block)
        ]
        found += [index for index, value in zip(block, labels, strict=True) if value in wanted]
    return found


def _check_apart(builder: tfds.core.DatasetBuilder, train_split: str, test_split: str) -> None:
    """Refuse splits that share an image: what is tested on is never trained on."""
    for name, start, end in _ranges(builder, train_split):
        for other, first, last in _ranges(builder, test_split):
            if name == other and start < last and first < end:
                raise UserError(
                    f"dataset.test_split={test_split}: it shares images with "
                    f"dataset.train_split={train_split}; such as train[:90%] and train[90%:] do not"
                )


def _ranges(builder: tfds.core.DatasetBuilder, split: str) -> list[tuple[str, int, int]]:
    """The records of a split: (file, first, one past the last)."""
    parts = builder.info.splits[split].file_instructions
    return [(str(part.filename), part.skip, part.skip + part.take) for part in parts]


def _values(record: bytes, key: str) -> Any:
    return tf_example_pb2.Example.FromString(record).features.feature[key]


def _rgb(image: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Greys three times, opacity left out, 16 bits scaled to 8."""
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    if image.shape[-1] < 3:
        image = image[..., :1].repeat(3, axis=-1)
    return image[..., :3]


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
