"""Datasets that TFDS has prepared in a folder, opened without running any of their code.

A folder may come from a stranger. TFDS imports the module of every feature class that its
``features.json`` names, or its ``dataset_info.json``, which may hold the same description: so these
are looked through before TFDS reads them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from ctxenc.errors import UserError
from ctxenc.runs import safe_read

OURS = "tensorflow_datasets."


def prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset whose files are already there; runs none of the dataset's code.

    Raises:
        UserError: they are not; the message says how to get them.
    """
    if name in ("", "???"):
        raise UserError("dataset.name: it takes the name of a TFDS dataset, such as imagenette")
    folder = Path(data_dir).expanduser() if data_dir else None
    try:
        # What `builder_from_files` does, with a look at the files in between.
        found = tfds.core.read_only_builder._find_builder_dir(name, data_dir=folder)
        if found is None:
            raise ValueError("nothing there")
        check_features(Path(found))
        return tfds.core.read_only_builder.builder_from_directory(found)
    except (tfds.core.DatasetNotFoundError, ValueError, AttributeError):
        where = folder or tfds.core.constants.DATA_DIR
        raise UserError(
            f"dataset.name={name}: not prepared in {where}; set dataset.data_dir to where it is, "
            f"or, where TensorFlow is installed, run: tfds build {name} --file_format=array_record"
        ) from None


def check_features(folder: Path) -> None:
    """Refuse a prepared dataset that names a feature class outside TFDS.

    Raises:
        UserError: naming the file and the class; or a file that is no such description.
    """
    for name in ("features.json", "dataset_info.json"):
        file = folder / name
        try:
            described = json.loads(safe_read.text(file, safe_read.MOST_JSON))
            if name == "dataset_info.json":
                described = described.get("features")
            names = list(_class_names(described))
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{file}: it does not describe a TFDS dataset ({reason})") from None
        for found in names:
            if not found.startswith(OURS):
                raise UserError(
                    f"{file}: it would have {found!r} imported; it takes feature classes of "
                    "tensorflow_datasets"
                )


def _class_names(value: Any) -> Iterator[str]:
    """Every class name in a description, also in those that it holds as text."""
    if isinstance(value, list):
        for item in value:
            yield from _class_names(item)
    elif isinstance(value, dict):
        old = ("type",) if "content" in value else ()
        for key, item in value.items():
            if key in ("pythonClassName", "python_class_name", *old):
                yield str(item)
            elif key == "json" and isinstance(item, str):
                yield from _class_names(json.loads(item))
            else:
                yield from _class_names(item)
