"""The folder of one probe, ``RUN/probe/<name>/``: figures, each test image's hits, two pictures."""

import os
from typing import Any, ClassVar

from ctxenc.evaluation.folder import CHECKPOINT, INTERVAL, Evaluation
from ctxenc.run_folder.files import COUNT, FLOAT, LIST, OTHERS, TEXT

FIGURE = {**INTERVAL, "stage": TEXT, "validation": FLOAT, "penalty": FLOAT}
METRICS = {  # what `metrics.json` holds; figures are percent of the test images
    "name": TEXT,
    "checkpoint": CHECKPOINT,
    "dataset": {
        **dict.fromkeys(("name", "train_fingerprint", "test_fingerprint"), TEXT),
        **dict.fromkeys(("train_images", "validation_images", "test_images", "image_size"), COUNT),
        "classes": [TEXT],
    },
    "images": COUNT,
    "options": {"stages": TEXT, "pool": COUNT},
    "overrides": LIST,
    "rows": {OTHERS: {OTHERS: FIGURE}},
    "stages": {OTHERS: {OTHERS: dict.fromkeys(("features", "linear", "knn"), FLOAT)}},
    "model_minus": {OTHERS: {OTHERS: INTERVAL}},
}


class Probe(Evaluation):
    """One probe of a run. Opening it reads nothing."""

    folder = "probe"
    schema: ClassVar[dict[str, Any]] = METRICS

    def __init__(self, path: str | os.PathLike[str]):
        super().__init__(path)
        self.confusion = self.path / "confusion.png"
        self.neighbours = self.path / "neighbours.png"
