"""The curves of a comparison's page: the lines of ``metrics.jsonl`` as series, thinned to fit.

Whatever scalars the lines have become curves, whether this version knows them or not.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.comparison import figures
from ctxenc.comparison.records import Record

POINTS = 400_000  # numbers on one page
FEWEST, MOST = 40, 600  # points of one curve
USUAL = 20  # curves of a run
MOST_NAMES = 100  # curves of a run; the others are left out
OTHER = ("split", "step", "epoch")  # what a line has beside its scalars

Series = dict[str, list[float | None]]
Lines = Float[np.ndarray, "lines names"]
Thinned = Float[np.ndarray, "fewer names"]


def points(runs: int) -> int:
    """How many points of each curve fit on a page of so many runs."""
    return max(FEWEST, min(MOST, POINTS // max(1, runs * USUAL)))


def titles(runs: Sequence[dict[str, Series]]) -> dict[str, dict[str, str]]:
    """What each split's curves are called, by their names in the lines."""
    test = figures.names(run["test"] for run in runs)
    train = dict.fromkeys(name for run in runs for name in run["train"])
    return {
        "test": {name: f"test {figures.heading(name)}" for name in test if name not in OTHER},
        "train": {name: name.replace("_", " ") for name in train if name not in OTHER},
    }


def series(record: Record, most: int) -> dict[str, Series]:
    """A run's training and test curves, ``{"train": {"step": […], "generator_loss": […]}, …}``.

    Training lines are already means over steps, so neighbours are averaged where there are more
    than `most`; of the tests every so many is kept, and the last.
    """
    lines = record.run.metrics()
    found = {}
    for split in ("test", "train"):
        mine = [line for line in lines if line.get("split") == split]
        names = list(dict.fromkeys(name for line in mine for name in line if name not in OTHER))
        names = ["step", *names[:MOST_NAMES]]
        values = [[_number(line.get(name)) for name in names] for line in mine]
        table = np.array(values, float).reshape(len(mine), len(names))
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


def _means(table: Lines, size: int) -> Thinned:
    """Means of `size` neighbours each, at the last one's step; what is not there is left out."""
    padded = np.pad(table, ((0, -len(table) % size), (0, 0)), constant_values=np.nan)
    blocks = padded.reshape(-1, size, table.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # blocks of nothing but NaN
        means = np.nanmean(blocks, axis=1)
    means[:, 0] = np.nanmax(blocks[:, :, 0], axis=1)
    return means


def _some(table: Lines, stride: int) -> Thinned:
    """Every `stride`-th line, and the last."""
    return np.concatenate([table[:-1:stride], table[-1:]])


def _columns(names: Iterable[str], table: Lines) -> Series:
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
