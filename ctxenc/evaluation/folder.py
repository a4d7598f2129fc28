"""The folder of one evaluation, ``RUN/evaluation/<name>/``: the one module that knows its files."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float

from ctxenc.config import schema
from ctxenc.errors import UserError
from ctxenc.run_folder import files
from ctxenc.run_folder.files import COUNT, FLOAT, OTHERS, TEXT
from ctxenc.run_folder.folder import Run

CHECKPOINT = {"which": TEXT, "step": COUNT, "weights": TEXT}
INTERVAL = dict.fromkeys(("mean", "low", "high", "images"), FLOAT)
METRICS = {  # what `metrics.json` holds
    **dict.fromkeys(("name", "mask_hash", "verdict"), TEXT),
    "checkpoint": CHECKPOINT,
    "dataset": {"name": TEXT, "test_fingerprint": TEXT},
    "images": COUNT,
    "notes": [TEXT],
    "rows": {OTHERS: {OTHERS: INTERVAL}},
}

Own = TypeVar("Own", bound="Evaluation")
PerImage = dict[str, Float[np.ndarray, " images"]]


class Evaluation:
    """One evaluation of a run. Opening it reads nothing."""

    folder = "evaluation"  # of a run
    schema: ClassVar[dict[str, Any]] = METRICS

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.name = self.path.name
        self.grid = self.path / "grid.png"  # the best, median and worst images

    @classmethod
    def of(cls: type[Own], run: Run, name: str) -> Own:
        """The run's evaluation of that name, there or not; a `UserError` where a link leads out."""
        return cls(run.own(f"{cls.folder}/{name}"))

    @classmethod
    def apart(cls: type[Own], run: Run, name: str, known: Mapping[str, Any]) -> Own:
        """The run's evaluation of that name, unless it is of other images or masks than `known`.

        Then it is one beside it, whose name also has a hash of these.
        """
        found, wanted = cls.of(run, name), _images_and_masks(known)
        with contextlib.suppress(UserError, OSError):
            if _images_and_masks(found.metrics) != wanted:
                digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:8]
                return cls.of(run, f"{name}-{digest}")
        return found

    @classmethod
    def all_of(cls: type[Own], run: Run) -> list[Own]:
        """The run's finished evaluations, by name."""
        return [cls(f.parent) for f in sorted(run.path.glob(f"{cls.folder}/*/metrics.json"))]

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``metrics.json`` holds: `mask_hash`, `images`, and figures with intervals by row.

        Raises:
            UserError: it is missing or damaged.
        """
        found: dict[str, Any] = files.read_json(self.path / "metrics.json", self.schema)
        return found

    @property
    def has_images(self) -> bool:
        """Whether the figures of each image are there, and not only their means."""
        return (self.path / "per_image.csv").exists()

    def says(self, known: Mapping[str, Any]) -> bool:
        """Whether it is finished, and all of this is in its ``metrics.json``."""
        with contextlib.suppress(UserError, OSError):
            found = self.metrics
            whole = None not in map(found.get, self.schema) and "model" in found["rows"]
            return whole and all(found.get(key) == value for key, value in known.items())
        return False

    def per_image(self, row: str | None = None) -> PerImage:
        """``per_image.csv`` by column, ``<row>.<column>``: all of them, or one row's.

        Raises:
            UserError: it is missing or damaged.
        """
        file = self.path / "per_image.csv"
        try:
            head, *lines = files.read_text(file, files.MOST_LINES).splitlines()
            names = head.split(",")
            if names[0] != "index" or not lines:
                raise ValueError
            wanted = [i for i, n in enumerate(names) if i and row in (None, n.rpartition(".")[0])]
            values = np.loadtxt(lines, delimiter=",", usecols=wanted, ndmin=2)
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: not readable as CSV ({type(error).__name__})") from None
        return {names[i]: values[:, column] for column, i in enumerate(wanted)}

    def write(self, metrics: dict[str, Any], per_image: PerImage) -> None:
        """Both files; ``metrics.json`` last, since it says that the evaluation is whole."""
        columns = list(zip(*per_image.values(), strict=True))
        lines = [",".join(["index", *per_image])]
        lines += [f"{i}," + ",".join(f"{v:.8g}" for v in row) for i, row in enumerate(columns)]
        (self.path / "metrics.json").unlink(missing_ok=True)
        files.write_text(self.path / "per_image.csv", "\n".join(lines) + "\n")
        files.write_json(self.path / "metrics.json", metrics)


def is_own(metrics: Mapping[str, Any]) -> bool:
    """Whether a ``metrics.json`` is of the run's own images and masks.

    Earlier ones have the overrides alone, and the first say nothing of it: False.
    """
    if "own" in metrics or not isinstance(overrides := metrics.get("overrides"), list):
        return metrics.get("own") is True
    return not any(schema.changes_test(str(text).partition("=")[0]) for text in overrides)


def _images_and_masks(metrics: Mapping[str, Any]) -> tuple[Any, Any]:
    return (metrics.get("dataset") or {}).get("test_fingerprint"), metrics.get("mask_hash")
