"""The curves of a comparison's page: the lines of ``metrics.jsonl`` as series, thinned to fit."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.comparison.records import METRICS, Record

POINTS = 400_000  # numbers on one page
FEWEST, MOST = 40, 600  # points of one curve
TRAINING = {
    "generator": "generator loss (weighted total)",
    "pixelwise": "reconstruction loss",
    "adversarial": "adversarial loss",
    "seam": "seam loss",
    "discriminator": "discriminator loss",
    "real": "discriminator loss on real images",
    "fake": "discriminator loss on predictions",
    "penalty": "discriminator's penalty",
    "accuracy_real": "accuracy on real images",
    "accuracy_fake": "accuracy on predictions",
    "images_per_second": "images/s",
}
TITLES = {
    "train": TRAINING,
    "test": {name: f"test {metric.heading}" for name, metric in METRICS.items()},
}

Series = dict[str, list[float | None]]
Lines = Float[np.ndarray, "lines names"]


def points(runs: int) -> int:
    """How many points of each curve fit on a page of so many runs."""
    curves = runs * (len(TRAINING) + len(METRICS))
    return max(FEWEST, min(MOST, POINTS // max(1, curves)))


def series(record: Record, most: int) -> dict[str, Series]:
    """A run's training and test curves, ``{"train": {"step": […], "generator": […], …}, …}``.

    Training lines are already means over steps, so neighbours are averaged where there are more
    than `most`; of the tests every so many is kept, and the last.
    """
    lines = record.run.metrics()
    found = {}
    for split, titles in TITLES.items():
        names = ("step", *titles)
        mine = [
            [_number(line.get(name)) for name in names]
            for line in lines
            if line.get("split") == split
        ]
        table = np.array(mine, float).reshape(len(mine), len(names))
        table = table[np.isfinite(table[:, 0])]
        thin = _means if split == "train" else _some
        found[split] = _columns(names, thin(table, max(1, math.ceil(len(table) / most))))
    return found


def _number(value: Any) -> float:
    """The value where it is a number that a curve can show, else NaN."""
    kind = type(value)
    if kind is float or (kind is int and abs(value) < 2**53):
        return value
    return math.nan


def _means(table: Lines, size: int) -> Lines:
    """Means of `size` neighbours each, at the last one's step; what is not finite is left out."""
    if size == 1 or not len(table):
        return table
    starts = np.arange(0, len(table), size)
    known = np.isfinite(table)
    counts = np.add.reduceat(known, starts, axis=0, dtype=int)
    sums = np.add.reduceat(np.where(known, table, 0), starts, axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    means[:, 0] = table[np.minimum(starts + size, len(table)) - 1, 0]
    return means


def _some(table: Lines, stride: int) -> Lines:
    """Every `stride`-th line, and the last."""
    return np.concatenate([table[:-1:stride], table[-1:]])


def _columns(names: Sequence[str], table: Lines) -> Series:
    """Lists by name, of those names that have a value anywhere; None where there is none."""
    return {
        name: [_short(value) for value in table[:, i].tolist()]
        for i, name in enumerate(names)
        if np.isfinite(table[:, i]).any()
    }


def _short(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.5g}")
