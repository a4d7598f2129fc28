"""The curves of a comparison's page: the lines of ``metrics.jsonl`` as Plotly's figures.

Whatever scalars the lines have become curves, whether this version knows them or not. Colours are
written as in `ctxenc.comparison.page.relations`.
"""

import logging
import math
import warnings
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.comparison import figures
from ctxenc.comparison.page.relations import COLOURS, html
from ctxenc.comparison.records import Record
from ctxenc.errors import UserError

log = logging.getLogger(__name__)

NUMBERS = 80_000  # of all curves of one page
FEWEST, MOST = 20, 400  # points of one curve
MOST_CURVES = 40  # settings whose curves a page has
USUAL = 20  # curves that a run has
MOST_NAMES = 100  # curves of a run; the others are left out
FIRST = "generator_loss"  # of the training scalars, the one that a page opens with
OTHER = ("split", "step", "epoch")  # what a line has beside its scalars
DASHES = ("solid", "dash", "dot", "dashdot")
HOVER = "%{y:.4~g}<extra>%{fullData.name}</extra>"
UNIFIED = 10  # settings whose values one label can show

Series = Mapping[str, Float[np.ndarray, " _"]]  # of as many points as the run has
Figure = dict[str, Any]


def points(settings: int, runs: int) -> int:
    """How many points of each curve fit on a page of so many settings of so many runs."""
    arrays = 2 if runs == settings else 6  # x and y, and both along a band's two sides
    return max(FEWEST, min(MOST, NUMBERS // max(1, settings * arrays * USUAL)))


def series(record: Record, most: int) -> dict[str, Series]:
    """A run's curves, ``{"train": {"step": …, "generator_loss": …}, "tests": {…}}``.

    Training lines are already means over steps, so neighbours are averaged where there are more
    than `most`, at the last one's step; of the tests every so many is kept, and the last. A curve
    without any value is left out; what is no number is NaN. A file that cannot be read has none.
    """
    splits, found = {"tests": "validation", "train": "train"}, dict[str, Series]()
    try:
        read = {kind: _columns(record.run.each_line(split)) for kind, split in splits.items()}
    except (UserError, OSError) as error:  # the other runs' page is made all the same
        log.warning("%s", error)
        read = {kind: _columns([]) for kind in splits}
    for kind, columns in read.items():
        names, table = list(columns), np.stack([*columns.values()], axis=1)
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
        thinned = zip(names, table.T, strict=True)
        found[kind] = {name: column for name, column in thinned if np.isfinite(column).any()}
    return found


def _columns(lines: Iterable[Mapping[str, Any]]) -> dict[str, "array[float]"]:
    """The scalars of lines by name, the step first; NaN where a line has none."""
    columns = {"step": array("d")}
    for row, line in enumerate(lines):
        for name, value in line.items():
            if name not in columns and name not in OTHER and len(columns) <= MOST_NAMES:
                columns[name] = array("d", [math.nan]) * row
            if name in columns:
                columns[name].append(_number(value))
        for column in columns.values():
            if len(column) == row:
                column.append(math.nan)
    return columns


def titles(groups: Sequence[Sequence[dict[str, Series]]], split: str) -> dict[str, dict[str, str]]:
    """What the curves are called, by their names in the lines; `split` is what was tested on."""
    runs = [run for group in groups for run in group]
    tests = figures.names(run["tests"] for run in runs)
    train = list(dict.fromkeys(name for run in runs for name in run["train"]))
    train.sort(key=lambda name: name != FIRST)
    return {
        "tests": {name: f"{split} {figures.heading(name)}" for name in tests if name not in OTHER},
        "train": {name: name.replace("_", " ") for name in train if name not in OTHER},
    }


def drawn(
    groups: Sequence[Sequence[Series]],
    name: str,
    settings: Sequence[tuple[str, int]],
    baselines: Mapping[str, float],
) -> Figure:
    """One scalar's curves: for each setting the mean over its runs, in a band of one deviation.

    Args:
        groups: by setting, the curves of its runs.
        name: of the scalar, in the curves.
        settings: what each is called, and its place among all of the page: the same colour always.
        baselines: figures of fills that need no training.
    """
    bands, lines, last = [], [], 1.0
    for row, (runs, (title, place)) in enumerate(zip(groups, settings, strict=True)):
        x, mean, spread = _over_runs(runs, name)
        if not len(x):
            continue
        own: Figure = {"name": html(title), "meta": row}
        line = {"color": f"--c{place % COLOURS}", "width": 1.8}
        line["dash"] = DASHES[place // COLOURS % len(DASHES)]
        last = max(last, float(x[-1]))
        if np.isfinite(spread).any():
            bands.append(own | _band(x, mean, spread) | {"fillcolor": line["color"]})
        mode = "lines+markers" if len(x) < 40 else "lines"
        curve: Figure = {"x": _short(x), "y": _short(mean), "mode": mode, "marker": {"size": 5}}
        lines.append(own | curve | {"line": line, "hovertemplate": HOVER})
    for number, (title, value) in enumerate(baselines.items()):
        title = title.replace("_", " ")
        lines.append(_reference(html(title), value, last, at_end=number % 2 == 0))
    unified = len(lines) <= UNIFIED
    layout: Figure = {"hovermode": "x unified" if unified else "closest"}
    layout |= {"xaxis": {"title": {"text": "step", "standoff": 8}, "showgrid": False}}
    return {"data": bands + lines, "layout": layout}


def _over_runs(
    runs: Sequence[Series], name: str
) -> tuple[np.ndarray, Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """(steps, mean over the runs that have a value there, their standard deviation; NaN of one)."""
    having = [run for run in runs if name in run]
    steps = np.unique(np.concatenate([run["step"] for run in having])) if having else np.array([])
    values = np.full((len(having), len(steps)), np.nan)
    for row, run in zip(values, having, strict=True):
        row[np.searchsorted(steps, run["step"])] = run[name]
    count = np.isfinite(values).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=0) / count
        deviation = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / (count - 1))
    return steps, mean, np.where(count > 1, deviation, np.nan)


def _band(x: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> Figure:
    """One standard deviation to both sides; nothing where there is one run alone."""
    known = np.flatnonzero(np.isfinite(spread))
    both = np.concatenate([known, known[::-1]])
    sides = np.concatenate([(mean + spread)[known], (mean - spread)[known[::-1]]])
    band: Figure = {"x": _short(x[both]), "y": _short(sides), "fill": "toself", "opacity": 0.2}
    return band | {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}


def _reference(title: str, value: float, last: float, *, at_end: bool) -> Figure:
    """A level that needs no training; names at both ends in turn, since two may be near."""
    text, place = (["", title], "top left") if at_end else ([title, ""], "top right")
    return {
        "name": title,
        "x": [0, last],
        "y": [value, value],
        "text": text,
        "textposition": place,
        "textfont": {"size": 11, "color": "--quiet"},
        "mode": "lines+text",
        "line": {"color": "--quiet", "dash": "dash" if at_end else "dot", "width": 1},
        "hovertemplate": HOVER.replace("</", " (no training)</"),
    }


def _number(value: Any) -> float:
    """The value where it is a number that a curve can show, else NaN."""
    kind = type(value)
    if kind is float or (kind is int and abs(value) < 2**53):
        return value
    return math.nan


def _short(values: np.ndarray) -> list[float | None]:
    """As JSON: five digits show all that a curve can."""
    found: list[float | None] = []
    for value in values.tolist():
        if not math.isfinite(value):
            found.append(None)
        else:
            found.append(int(value) if value.is_integer() else float(f"{value:.5g}"))
    return found
