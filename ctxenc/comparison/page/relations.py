"""How keys and metrics go together: one against another, and all of them side by side.

Figures are Plotly's, as dictionaries: of a thousand settings its own classes would take minutes.
Colours are written as ``--name``, after the variables of ``page.css``, since a page is light or
dark where it is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from markupsafe import escape

from ctxenc.comparison import figures, pareto
from ctxenc.comparison.records import order
from ctxenc.comparison.tables import Cell, Column, Table, Value
from ctxenc.errors import printable
from ctxenc.metrics.registry import MAIN, METRICS

TIME = "seconds"  # a column's key
MOST_LINES = 100  # of the parallel coordinates
MOST_AXES = 10
MOST_TICKS = 8  # of a key's axis
COLOURS, SYMBOLS = 7, ("circle", "square", "diamond", "cross")  # told apart, as in ``page.css``
SHADES = 10  # of the lines, ``--s0`` for the worst


@dataclass(frozen=True)
class Dimension:
    """One key or metric: `values` by setting, and the standard deviations around them.

    `metric` is empty for a key; the time that training took counts as one.
    """

    key: str
    label: str
    values: Sequence[Value]
    spread: Sequence[Value]
    metric: str = ""

    @property
    def badness(self) -> list[float]:
        """Of a metric, lower for better values; NaN where there is none."""
        badness = METRICS[self.metric].badness if self.metric in METRICS else float
        return [badness(v) if isinstance(v, int | float) else np.nan for v in self.values]


def dimensions(table: Table, split: str) -> list[Dimension]:
    """The keys of a table, then its metrics: of the last test in training, and of the test split.

    Those that are the same for all settings, or that fewer than two have, are left out.
    """
    found = [d for c in table.columns if (d := _dimension(c, table, split)) is not None]
    return sorted(found, key=lambda dimension: bool(dimension.metric))


def _dimension(column: Column, table: Table, split: str) -> Dimension | None:
    labels = {f"{split}.last.": split, "test.": "test", "": "test"}  # "" of a probe's figures
    prefix = column.key.removesuffix(column.metric)
    if column.metric in METRICS and prefix in labels:
        label = f"{labels[prefix]} {figures.heading(column.metric)}"
    elif column.setting:
        label = column.title
    elif column.key == TIME:
        label, column = "training time s", replace(column, metric=TIME)
    else:
        return None
    values = [row.get(column.key, Cell()).value for row in table.rows]
    spread = [row.get(f"{column.key}.sd", Cell()).value for row in table.rows]
    if len({value for value in values if value is not None}) < 2:
        return None
    label = html(label)
    return Dimension(column.key, label, values, spread, column.metric)


def usual(found: Sequence[Dimension]) -> tuple[str, str]:
    """The first choice of a scatter's axes: of one split, sharpness or another, and PSNR."""
    metrics = [d for d in found if d.metric]
    across = next((d for d in metrics if d.metric == MAIN), metrics[0])
    split = across.key.removesuffix(across.metric)
    beside = [d for d in metrics if d.key.startswith(split) and d is not across] or found
    along = next((d for d in beside if d.metric == "sharpness"), beside[0])
    return along.key, across.key


def scatter(
    found: Sequence[Dimension], names: Sequence[str], places: Sequence[int]
) -> dict[str, Any] | None:
    """The figure, what its axes can show, and the Pareto front of each pair of metrics.

    None where there are no two metrics or keys, or no two settings.
    """
    if len(found) < 2 or not any(d.metric for d in found):
        return None
    marks = {
        "color": [f"--c{place % COLOURS}" for place in places],
        "symbol": [SYMBOLS[place // COLOURS % len(SYMBOLS)] for place in places],
        "size": 10,
    }
    error: dict[str, Any] = {"type": "data", "width": 0, "thickness": 1, "color": "--quiet"}
    points: dict[str, Any] = {
        "mode": "markers",
        "marker": marks,
        "text": [html(name) for name in names],
    }
    points |= {"error_x": error, "error_y": error, "cliponaxis": False}
    points["hovertemplate"] = "%{text}<br>%{x:.4~g}, %{y:.4~g}<extra></extra>"
    front: dict[str, Any] = {
        "mode": "lines",
        "line": {"color": "--quiet", "dash": "dot", "width": 1.5},
    }
    return {
        "data": [front | {"hoverinfo": "skip"}, points],
        "layout": {"hovermode": "closest"},
        "dimensions": {d.key: _axis(d) for d in found},
        "usual": usual(found),
        "fronts": _fronts([d for d in found if d.metric]),
    }


def _axis(dimension: Dimension) -> dict[str, Any]:
    axis = {"label": dimension.label, "values": dimension.values, "spread": dimension.spread}
    if dimension.metric:
        return axis
    texts = _texts(dimension)
    return axis | {"values": texts, "order": _ordered(dimension)}


def _fronts(metrics: Sequence[Dimension]) -> dict[str, list[int]]:
    """By the keys of two metrics, the settings on their front."""
    found = {}
    for one, other in combinations(metrics, 2):
        on = np.flatnonzero(pareto.front(np.array([one.badness, other.badness]).T)).tolist()
        found[f"{one.key} {other.key}"] = found[f"{other.key} {one.key}"] = on
    return found


def parallel(found: Sequence[Dimension], names: Sequence[str]) -> dict[str, Any] | None:
    """A line a setting through an axis for each key and metric; None of fewer than three axes.

    `undrawn` counts the settings that are too many, `left_out` are the labels of such axes.
    """
    shown = [d for d in found if not (d.metric in METRICS and METRICS[d.metric].minor)]
    keys = [d for d in shown if not d.metric][: MOST_AXES // 2]
    axes = keys + [d for d in shown if d.metric][: MOST_AXES - len(keys)]
    if len(axes) < 3 or not any(d.metric for d in axes):
        return None
    heights, ticks = zip(*map(_heights, axes), strict=True)
    shades = _shades(next(d for d in axes if d.metric))
    lines = [
        {
            "x": list(range(len(axes))),
            "y": [height[i] for height in heights],
            "name": html(name),
            "text": [f"{d.label}: {html(_text(d, d.values[i]))}" for d in axes],
            "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            "line": {"color": shades[i], "width": 1.8},
            "mode": "lines+markers",
            "marker": {"size": 6},
            "unselected": {"marker": {"opacity": 1}},
        }
        for i, name in enumerate(names[:MOST_LINES])
    ]
    line: dict[str, Any] = {
        "type": "line",
        "y0": 0,
        "y1": 1,
        "line": {"color": "--quiet", "width": 1},
    }
    layout = {
        "shapes": [line | {"x0": x, "x1": x} for x in range(len(axes))],
        "annotations": [note for x, each in enumerate(ticks) for note in _ticks(x, each)],
        "xaxis": {
            "tickvals": list(range(len(axes))),
            "ticktext": [_broken(d.label) for d in axes],
            "side": "top",
            "range": [-0.5, len(axes) - 0.7],
        },
        "yaxis": {"visible": False, "range": [-0.08, 1.06]},
        "hovermode": "closest",
    }
    left_out = [d.label for d in shown if d.key not in {axis.key for axis in axes}]
    undrawn = len(names) - len(lines)
    said = {"axes": len(axes), "undrawn": undrawn, "left_out": left_out}
    return {"data": lines, "layout": layout, **said}


def _heights(dimension: Dimension) -> tuple[list[float | None], Mapping[float, str]]:
    """(where each setting's line crosses the axis, from 0 to 1, and the axis' ticks)."""
    if not dimension.metric:
        order = _ordered(dimension)
        at = {text: i / max(1, len(order) - 1) for i, text in enumerate(order)}
        every = max(1, -(-len(order) // MOST_TICKS))
        return [at[text] for text in _texts(dimension)], {at[t]: t for t in order[::every]}
    known = [value for value in dimension.values if isinstance(value, int | float)]
    low, high = min(known), max(known)
    ticks = {0.0: _text(dimension, low), 1.0: _text(dimension, high)}
    heights = [
        (value - low) / (high - low) if isinstance(value, int | float) else None
        for value in dimension.values
    ]
    return heights, ticks


def _shades(dimension: Dimension) -> list[str]:
    """A colour for each setting, by how good it is."""
    badness = np.array(dimension.badness)
    worst, best = np.nanmax(badness), np.nanmin(badness)
    parts = np.nan_to_num((worst - badness) / (worst - best))
    return [f"--s{min(SHADES - 1, int(part * SHADES))}" for part in parts]


def _ticks(axis: int, ticks: Mapping[float, str]) -> list[dict[str, Any]]:
    note = {"x": axis, "xanchor": "right", "xshift": -6, "showarrow": False}
    note |= {"font": {"size": 11, "color": "--quiet"}, "bgcolor": "--ground", "borderpad": 1}
    return [note | {"y": height, "text": html(text)} for height, text in ticks.items()]


def _ordered(dimension: Dimension) -> list[str]:
    """The values of a key, numbers by size, then texts."""
    values = ("none" if value is None else value for value in dimension.values)
    texts = dict(zip(_texts(dimension), values, strict=True))
    return sorted(texts, key=lambda text: order(texts[text]))


def _texts(dimension: Dimension) -> list[str]:
    return [html(_text(dimension, value)) for value in dimension.values]


def _text(dimension: Dimension, value: Value) -> str:
    if isinstance(value, float) and dimension.metric:
        return figures.shown(dimension.metric, value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def html(text: str) -> str:
    """A text as Plotly takes it, for HTML."""
    return str(escape(printable(text)))


def _broken(label: str) -> str:
    """An axis' name in two lines."""
    first, _, rest = label.partition(" ")
    return f"{first}<br>{rest}" if rest else first
