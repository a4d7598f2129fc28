"""Any prepared image set of TensorFlow Datasets, read without TensorFlow."""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from tensorflow_datasets.proto import tf_example_pb2

from ctxenc.data import geometry
from ctxenc.data.geometry import Place
from ctxenc.data.images import Dataset, RandomCrops, check_resize, resized
from ctxenc.data.tfds_prepared import prepared
from ctxenc.errors import UserError

BLOCK = 10_000  # records read at once where only their labels are wanted
TEST_SPLITS = ("test", "validation")  # where none is named: the first that there is


@dataclass(frozen=True)
class TfdsImages:
    """The chosen images of one split; pixels are decoded when asked for."""

    records: Any  # serialized examples, by index
    key: str
    feature: tfds.features.Image
    chosen: Sequence[int]
    image_size: int
    origin: str
    resize: int | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One image.

        Raises:
            UserError: its record is damaged, or a picture of too many pixels.
        """
        return self.cut(index, None)

    def cut(self, index: int, place: Place | None) -> UInt8[np.ndarray, "height width 3"]:
        """A part of one image, or its centre; the errors are the same."""
        position = int(self.chosen[index])
        try:
            # TFDS's own parser of examples is several times slower than protobuf's.
            encoded = _values(self.records[position], self.key).bytes_list.value[0]
            image = _rgb(self.feature.decode_example_np(encoded))
        except Exception as error:  # OpenCV, TFDS and protobuf raise many kinds on damaged records
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(
                f"{self.origin}: its image {position} cannot be read: {reason}"
            ) from None
        if self.resize is None:
            return geometry.square(image, self.image_size)
        return geometry.part(image, self.image_size, short_side=self.resize, place=place)

    def identity(self, index: int) -> bytes:
        """Name, version, split and position: prepared sets do not change under one version."""
        return f"{self.origin} {self.chosen[index]}".encode() + resized(self.resize)


def tfds_images(
    *,
    name: str,
    data_dir: str | None,
    train_split: str,
    test_split: str | None,
    image_key: str,
    classes: list[str] | None,
    resize: int | None = None,
    image_size: int,
) -> Dataset:
    """A prepared TFDS dataset.

    Args:
        name: as TFDS names it, with or without a config and version: ``imagenette/160px-v2:1.0.0``.
        data_dir: where it was prepared; None for TFDS's own default.
        train_split: TFDS split to train on.
        test_split: TFDS split to test on; it may not overlap the other. None takes ``test`` where
            there is one, else ``validation``.
        image_key: the feature that holds the image.
        classes: names of the labels to keep; None keeps all.
        resize: short side before images of `image_size` are cut out, those to train on at random;
            None resizes to `image_size` and cuts out the centre.
        image_size: height and width of the images.

    Raises:
        UserError: the dataset is not prepared, or not in a form that needs no TensorFlow.
    """
    check_resize(resize, image_size)
    return from_builder(
        prepared(name, data_dir),
        train_split=train_split,
        test_split=test_split,
        image_key=image_key,
        classes=classes,
        resize=resize,
        image_size=image_size,
    )


def from_builder(
    builder: tfds.core.DatasetBuilder,
    *,
    train_split: str,
    test_split: str | None,
    image_key: str,
    classes: list[str] | None,
    resize: int | None = None,
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
    asked = {
        "train": train_split,
        "test": _test_split(builder) if test_split is None else test_split,
    }
    records = {role: _records(builder, role, split) for role, split in asked.items()}
    _check_apart(builder, asked["train"], asked["test"])

    def images(role: str) -> TfdsImages:
        chosen: Sequence[int] = range(len(records[role]))
        if classes is not None:
            chosen = _of_classes(builder, records[role], classes)
        if not chosen:
            raise UserError(f"dataset.{role}_split={asked[role]}: it has no images of {classes}")
        origin = f"{builder.info.full_name} {asked[role]}"
        return TfdsImages(records[role], image_key, feature, chosen, image_size, origin, resize)

    train = images("train")
    return Dataset(builder.name, train if resize is None else RandomCrops(train), images("test"))


def _test_split(builder: tfds.core.DatasetBuilder) -> str:
    for name in TEST_SPLITS:
        if name in builder.info.splits and builder.info.splits[name].num_examples:
            return name
    raise UserError(
        f"dataset.test_split: {builder.name} has no split named {' or '.join(TEST_SPLITS)}; it "
        "takes a slice such as train[90%:], and dataset.train_split the rest, train[:90%]"
    )


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
