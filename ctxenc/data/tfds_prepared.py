"""Datasets that TFDS has prepared in a folder, opened without running any of their code.

A folder may come from anybody. TFDS imports the module of every feature class that its
``features.json`` names, or its ``dataset_info.json``, which may hold the same description: so both
are searched before TFDS reads them.
"""

import json
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from ctxenc.errors import UserError
from ctxenc.runs import files

OURS = "tensorflow_datasets."


def prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a dataset whose files are already there; runs none of the dataset's code.

    Raises:
        UserError: they are not; the message says how to get them.
    """
    if name in ("", "???"):
        raise UserError("dataset.name: expected the name of a TFDS dataset, such as imagenette")
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
    for file in (folder / "features.json", folder / "dataset_info.json"):
        try:
            names = _class_names(files.read_text(file, files.MOST_JSON))
        except (OSError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{file}: does not describe a TFDS dataset ({reason})") from None
        for name in names:
            if not name.startswith(OURS):
                raise UserError(
                    f"{file}: would have {name!r} imported; expected feature classes of "
                    "tensorflow_datasets only"
                )


def _class_names(description: str) -> list[str]:
    """Every class name in a JSON description, also in those that it holds as text."""
    names: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        old = ("type",) if "content" in dict(pairs) else ()
        for key, value in pairs:
            if key in ("pythonClassName", "python_class_name", *old):
                names.append(str(value))
            elif key == "json" and isinstance(value, str):
                names.extend(_class_names(value))
        return dict(pairs)

    if not isinstance(json.loads(description, object_pairs_hook=collect), dict):
        raise ValueError("not an object")
    return names
