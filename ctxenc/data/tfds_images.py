"""Any prepared image set of TensorFlow Datasets, read without TensorFlow.

A prepared folder may come from anybody. TFDS imports the module of every feature class that its
``features.json`` names, or its ``dataset_info.json``, which may hold the same description: so both
are searched before TFDS reads them, and none of a dataset's own code is run.
"""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int
from tensorflow_datasets.proto import tf_example_pb2

from ctxenc.data import image_files
from ctxenc.data.images import Dataset, Picture, held_out
from ctxenc.data.labels import Labels
from ctxenc.errors import UserError
from ctxenc.paths import expanded
from ctxenc.run_folder.files import check_regular

BLOCK = 1000  # records read at once where only their labels are wanted
TEST_SPLITS = ("test", "validation")  # where none is named: the first that there is
MOST_JSON = 2**26  # bytes of a description


@dataclass(frozen=True)
class Records:
    """Some records of one split; a `UserError` names one that cannot be read."""

    source: Any  # serialized examples, by index
    within: Sequence[int]  # which of them are of this split,
    wanted: Sequence[int] | None  # and have one of these labels, in order; None: any
    class_names: Sequence[str]  # of all labels; empty where the dataset has none
    key: str
    feature: tfds.features.Image
    origin: str
    option: str  # that chose them, for messages
    which: str = ""  # of several images in a record, where it is not called image

    @functools.cached_property
    def chosen(self) -> Sequence[int]:
        """The positions of the images, for which all labels are read where some are wanted.

        Raises:
            UserError: there are none.
        """
        found = self.within
        if self.wanted is not None:
            kept = np.isin(self._numbers(found), self.wanted)
            found = np.asarray(found)[kept].tolist()
        if not found:
            of = "" if self.wanted is None else " of these dataset.classes"
            raise UserError(f"{self.option}: expected a split with images{of} in it")
        return found

    @property
    def labels(self) -> Callable[[], Labels] | None:
        """What reads the label of each image; None where the dataset has none."""
        return (lambda: self._labels) if self.class_names else None

    @functools.cached_property
    def _labels(self) -> Labels:
        numbers = self._numbers(self.chosen)
        if self.wanted is None:
            return Labels(numbers, tuple(self.class_names))
        names = tuple(self.class_names[number] for number in self.wanted)
        return Labels(np.searchsorted(self.wanted, numbers), names)

    def _numbers(self, positions: Sequence[int]) -> Int[np.ndarray, " positions"]:
        blocks = (positions[at : at + BLOCK] for at in range(0, len(positions), BLOCK))
        records = itertools.chain.from_iterable(map(self.source.__getitems__, blocks))
        return np.array([_values(record, "label").int64_list.value[0] for record in records], int)

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, index: int, at_least: int) -> Picture:
        """One picture of its own size: grey three times, opacity left out, 16 bits scaled to 8."""
        position = self.chosen[index]
        try:
            # TFDS's own parser of examples is several times slower than protobuf's.
            encoded = _values(self.source[position], self.key).bytes_list.value[0]
            with image_files.decoding(image_files.pixels(encoded)):
                image = self.feature.decode_example_np(encoded)
            if image.dtype == np.uint16:
                image = (image // 257).astype(np.uint8)
            return image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, axis=-1)
        except Exception as error:  # OpenCV, TFDS and protobuf raise many kinds on damaged records
            raise UserError(
                f"{self.origin}: its image {position} cannot be read: {_line(error)}"
            ) from None

    def name(self, index: int) -> bytes:
        """Name, version, split and position: prepared sets do not change under one version."""
        return f"{self.origin}{self.which} {self.chosen[index]}".encode()


def tfds_images(
    *,
    name: str,
    data_dir: str | None,
    train_split: str,
    validation_split: str | None = None,
    test_split: str | None,
    image_key: str,
    classes: tuple[str, ...] | None,
    resize: int | None = None,
    resize_most: int | None = None,
    image_size: int,
) -> Dataset:
    """A prepared TFDS dataset, such as ``imagenette/160px-v2:1.0.0``.

    The options are explained in ``conf/dataset/tfds.yaml``.

    Raises:
        UserError: the dataset is not prepared, or not in a form that needs no TensorFlow.
    """
    builder = prepared(name, data_dir)
    features = dict(builder.info.features or {})
    keys = sorted(k for k, f in features.items() if isinstance(f, tfds.features.Image))
    if image_key not in keys:
        raise UserError(
            f"dataset.image_key={image_key}: {builder.name} has no such image; expected one of "
            f"{', '.join(keys) or 'another dataset'}"
        )
    test_split = _test_split(builder) if test_split is None else test_split
    of_validation = test_split.startswith("validation")  # or a slice of it
    if validation_split is None and not of_validation and _has(builder, "validation"):
        validation_split = "validation"
    named = {"train": train_split, "validation": validation_split, "test": test_split}
    splits = {role: split for role, split in named.items() if split is not None}
    sources = {role: _source(builder, role, split) for role, split in splits.items()}
    _check_apart(builder, splits)
    records: dict[str, Sequence[int]] = {role: range(len(of)) for role, of in sources.items()}
    if validation_split is None:  # before classes are chosen, so that no image changes sides
        splits["validation"], sources["validation"] = train_split, sources["train"]
        train, validation = held_out(len(sources["train"]))
        records |= {"train": train.tolist(), "validation": validation.tolist()}
    class_names = _class_names(features.get("label"))
    wanted = None if classes is None else _wanted(builder.name, classes, class_names)
    pictures = {
        role: Records(
            source=sources[role],
            within=records[role],
            wanted=wanted,
            class_names=class_names,
            key=image_key,
            feature=features[image_key],
            origin=f"{builder.info.full_name} {splits[role]}",
            which=f" {image_key}" if len(keys) > 1 and image_key != "image" else "",
            option=f"dataset.{role}_split={'null' if named[role] is None else named[role]}",
        )
        for role in named
    }
    return Dataset.of_pictures(
        builder.name, **pictures, image_size=image_size, resize=resize, resize_most=resize_most
    )


def prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset whose files are already there.

    Raises:
        UserError: they are not, and how to get them; or they name code that is not TFDS's.
    """
    if name in ("", "???"):
        raise UserError("dataset.name: expected the name of a TFDS dataset, such as imagenette")
    folder, found = expanded(data_dir) if data_dir else None, None
    # What `builder_from_files` does, with a look at the files in between.
    with contextlib.suppress(tfds.core.DatasetNotFoundError, ValueError, AttributeError):
        found = tfds.core.read_only_builder._find_builder_dir(name, data_dir=folder)
    if found is None:
        where = folder or tfds.core.constants.DATA_DIR
        raise UserError(
            f"dataset.name={name}: not prepared in {where}; set dataset.data_dir to where it is, "
            f"or, where TensorFlow is installed, run: tfds build {name} --file_format=array_record"
        )
    for file in ("features.json", "dataset_info.json"):
        _check_classes_named(Path(found) / file)
    check_regular(Path(found))
    try:
        return tfds.core.read_only_builder.builder_from_directory(found)
    except Exception as error:  # TFDS and protobuf raise many kinds
        raise UserError(f"{found}: does not describe a TFDS dataset ({_line(error)})") from None


def _check_classes_named(file: Path) -> None:
    """Refuse a JSON description that names a class outside TFDS, also in JSON that it holds."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = ["pythonClassName", "python_class_name"]
        names += ["type"] if "content" in dict(pairs) else []  # as older versions wrote it
        for key, value in pairs:  # a key may be there twice
            if key in names and not str(value).startswith("tensorflow_datasets."):
                raise UserError(
                    f"{file}: would have {value!r} imported; expected feature classes of "
                    "tensorflow_datasets only"
                )
            if key == "json" and isinstance(value, str):
                json.loads(value, object_pairs_hook=check)
        return dict(pairs)

    try:
        if not file.is_file() or file.stat().st_size > MOST_JSON:
            raise ValueError(f"expected a file of at most {MOST_JSON} bytes")
        if not isinstance(json.loads(file.read_text("utf-8"), object_pairs_hook=check), dict):
            raise ValueError("expected an object")
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: does not describe a TFDS dataset ({reason})") from None


def _has(builder: tfds.core.DatasetBuilder, split: str) -> bool:
    return split in builder.info.splits and builder.info.splits[split].num_examples > 0


def _test_split(builder: tfds.core.DatasetBuilder) -> str:
    for name in TEST_SPLITS:
        if _has(builder, name):
            return name
    raise UserError(
        f"dataset.test_split: {builder.name} has no split named {' or '.join(TEST_SPLITS)}; "
        "expected a slice such as train[90%:], with the rest as dataset.train_split=train[:90%]"
    )


def _source(builder: tfds.core.DatasetBuilder, role: str, split: str) -> Any:
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        if builder.info.splits[split].num_examples <= 0:
            raise ValueError("no images")
        source = builder.as_data_source(split=split, deserialize_method=raw)
    except NotImplementedError:
        raise UserError(
            f"{builder.data_path}: prepared as {builder.info.file_format.value}; expected "
            "array_record, which can be read without TensorFlow: where TensorFlow is installed, "
            f"run: tfds build {builder.name} --file_format=array_record"
        ) from None
    except (ValueError, KeyError):
        known = ", ".join(f"{name} ({s.num_examples})" for name, s in builder.info.splits.items())
        raise UserError(
            f"dataset.{role}_split={split}: expected a split of {builder.name} with an image in "
            f"it: {known}, or a slice such as train[:90%]"
        ) from None
    _check_files(builder, split)
    return source


def _check_files(builder: tfds.core.DatasetBuilder, split: str) -> None:
    """Refuse a split whose files are missing, elsewhere, or smaller than a byte a record."""
    parts, folder = builder.info.splits[split].file_instructions, Path(builder.data_path)
    for file in (Path(part.filename) for part in parts):
        if file.parent != folder or not file.is_file():
            raise UserError(f"{file}: expected a file in {folder}, with images of {split}")
    room = sum(Path(part.filename).stat().st_size for part in parts)
    if (claimed := sum(part.take for part in parts)) > room:
        raise UserError(f"{folder}: no {claimed} images of {split} fit into its {room} bytes")


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _check_apart(builder: tfds.core.DatasetBuilder, splits: dict[str, str]) -> None:
    """Refuse splits that share an image: what is held out is never trained on."""
    for (of, split), (role, other) in itertools.combinations(splits.items(), 2):
        parts = (builder.info.splits[name].file_instructions for name in (split, other))
        for a, b in itertools.product(*parts):
            start, end = max(a.skip, b.skip), min(a.skip + a.take, b.skip + b.take)
            if a.filename == b.filename and start < end:
                raise UserError(
                    f"dataset.{role}_split={other}: shares images with dataset.{of}_split={split}; "
                    "expected splits that share none, such as train[:90%] and train[90%:]"
                )


def check_classes(classes: Sequence[str], names: Sequence[str]) -> None:
    """Refuse, with a `UserError`, classes that are not among a dataset's `names`, or none."""
    if not classes or not set(classes) <= set(names):
        raise UserError(
            f"dataset.classes=[{', '.join(classes)}]: expected some of {', '.join(names)}"
        )


def _class_names(label: Any) -> list[str]:
    """The names of a dataset's classes, in order; none where its labels are no classes."""
    if isinstance(label, tfds.features.ClassLabel) and label.num_classes:
        return list(label.names)
    return []


def _wanted(name: str, classes: Sequence[str], class_names: Sequence[str]) -> list[int]:
    if not class_names:
        raise UserError(
            f"dataset.classes=[{', '.join(classes)}]: {name} has no labels; must be null"
        )
    check_classes(classes, class_names)
    return sorted(class_names.index(wanted) for wanted in set(classes))


def _values(record: bytes, key: str) -> Any:
    return tf_example_pb2.Example.FromString(record).features.feature[key]
