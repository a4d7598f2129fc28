"""The curves of a comparison's page: the lines of ``metrics.jsonl`` as series, thinned to fit.

Whatever scalars the lines have become curves, whether this version knows them or not.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ctxenc.comparison import figures
from ctxenc.comparison.records import Record

POINTS = 400_000  # numbers on one page
FEWEST, MOST = 40, 600  # points of one curve
USUAL = 20  # curves that a run has
MOST_NAMES = 100  # curves of a run; the others are left out
FIRST = "generator_loss"  # of the training scalars, the one that a page opens with
OTHER = ("split", "step", "epoch")  # what a line has beside its scalars

Series = dict[str, list[float | None]]


def points(runs: int) -> int:
    """How many points of each curve fit on a page of so many runs."""
    return max(FEWEST, min(MOST, POINTS // max(1, runs * USUAL)))


def titles(runs: Sequence[dict[str, Series]], split: str) -> dict[str, dict[str, str]]:
    """What the curves are called, by their names in the lines; `split` is what was tested on."""
    tests = figures.names(run["tests"] for run in runs)
    train = list(dict.fromkeys(name for run in runs for name in run["train"]))
    train.sort(key=lambda name: name != FIRST)
    return {
        "tests": {name: f"{split} {figures.heading(name)}" for name in tests if name not in OTHER},
        "train": {name: name.replace("_", " ") for name in train if name not in OTHER},
    }


def series(record: Record, most: int) -> dict[str, Series]:
    """A run's curves, ``{"train": {"step": […], "generator_loss": […]}, "tests": {…}}``.

    Training lines are already means over steps, so neighbours are averaged where there are more
    than `most`, at the last one's step; of the tests every so many is kept, and the last. A curve
    without any value is left out.
    """
    found = {}
    for kind, split in (("tests", "validation"), ("train", "train")):
        mine = record.run.metrics(split)
        names = list(dict.fromkeys(name for line in mine for name in line if name not in OTHER))
        names = ["step", *names[:MOST_NAMES]]
        values = [[_number(line.get(name)) for name in names] for line in mine]
        table = np.array(values, float).reshape(len(mine), len(names))
        table = table[np.isfinite(table[:, 0])]
        size = max(1, math.ceil(len(table) / most))
        if kind == "tests":
            table = np.concatenate([table[:-1:size], table[-1:]])
        else:
            padded = np.pad(table, ((0, -len(table) % size), (0, 0)), constant_values=np.nan)
            blocks = padded.reshape(-1, size, len(names))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # blocks of nothing but NaN
                table = np.nanmean(blocks, axis=1)
            table[:, 0] = np.nanmax(blocks[:, :, 0], axis=1)
        found[kind] = {
            name: [_short(value) for value in column.tolist()]
            for name, column in zip(names, table.T, strict=True)
            if np.isfinite(column).any()
        }
    return found


def of_group(runs: Sequence[dict[str, Series]]) -> dict[str, dict[str, Series]]:
    """The curves of a setting, by kind and name: the `mean` over its runs, and their `spread`.

    The spread is the standard deviation over those that have a value at a step, None of one alone.
    """
    found: dict[str, dict[str, Series]] = {}
    for kind in runs[0]:
        steps = sorted(
            {step for run in runs for step in run[kind].get("step", ()) if step is not None}
        )
        place = {step: i for i, step in enumerate(steps)}
        names = dict.fromkeys(name for run in runs for name in run[kind] if name != "step")
        mean: Series = {"step": [*steps]}
        spread: Series = {}
        for name in names:
            values = np.full((len(runs), len(steps)), np.nan)
            for row, run in zip(values, runs, strict=True):
                for step, value in zip(
                    run[kind].get("step", ()), run[kind].get(name, ()), strict=False
                ):
                    if step is not None and value is not None:
                        row[place[step]] = value
            count = np.isfinite(values).sum(axis=0)
            sums = np.nansum(values, axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                means = sums / count
                deviations = np.sqrt(np.nansum((values - means) ** 2, axis=0) / (count - 1))
            mean[name] = [_short(value) for value in means.tolist()]
            if (count > 1).any():
                spread[name] = [_short(value) for value in deviations.tolist()]
        found[kind] = {"mean": mean, "spread": spread}
    return found


def _number(value: Any) -> float:
    """The value where it is a number that a curve can show, else NaN."""
    kind = type(value)
    if kind is float or (kind is int and abs(value) < 2**53):
        return value
    return math.nan


def _short(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.5g}")
