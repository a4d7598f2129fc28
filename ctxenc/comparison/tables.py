"""Tables of text and numbers, to be shown in a terminal, in a file, or on a page."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ctxenc.comparison import figures
from ctxenc.errors import printable
from ctxenc.metrics.registry import METRICS

ENDS = ("low", "high")  # of an interval

Value = float | str | None


@dataclass(frozen=True)
class Column:
    """`key` names it in CSV and JSON, `title` for people; a hidden one is in those two only.

    A `setting` is a key of the configuration; `metric` names the metric that the values are of.
    Neighbours of a `group` share a heading where there is room for one.
    """

    key: str
    title: str
    number: bool = False
    hidden: bool = False
    setting: bool = False
    metric: str = ""
    group: str = ""


@dataclass(frozen=True)
class Cell:
    """What is shown, the value behind it, by which one sorts, and (low, high) around it.

    `best` says that no other that it compares with is better.
    """

    text: str = ""
    value: Value = None
    interval: tuple[float, float] | tuple[()] = ()
    best: bool = False

    @classmethod
    def of(cls, value: str | None) -> "Cell":
        """Text from outside, with what would move a cursor or break a line made visible."""
        if value is None:
            return cls()
        # Names of files may hold bytes that are no text, which no file could be written with.
        return cls(printable(value), value.encode("utf-8", "replace").decode())


Row = dict[str, Cell]
"""A row's cells by the keys of their columns; those that it lacks are blank, others not shown."""

Visible = tuple[Column, list[Cell]]  # a column that people see


@dataclass(frozen=True)
class Table:
    """One table with its notes, and with what it says in a sentence."""

    key: str
    title: str
    notes: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    answer: str = ""

    def visible(self) -> list[Visible]:
        """The columns that are not hidden, each with its cells."""
        columns = [column for column in self.columns if not column.hidden]
        return [(c, [row.get(c.key, Cell()) for row in self.rows]) for c in columns]

    def values(self) -> list[dict[str, Value]]:
        """Each row by the keys of all columns."""
        return [{c.key: row.get(c.key, Cell()).value for c in self.columns} for row in self.rows]


def ends_of(column: Column) -> list[Column]:
    """The ends of the intervals in a column of numbers: in CSV and JSON alone."""
    return [Column(f"{column.key}.{end}", "", True, hidden=True) for end in ENDS]


def difference_row(key: str, metric: str, found: Mapping[str, float]) -> Row:
    """A mean difference with its interval, if there is one, and the cells of its ends."""
    interval = (found["low"], found["high"]) if "low" in found else ()
    cell = Cell(figures.difference(metric, found), found["mean"], interval)
    return {key: cell} | {f"{key}.{end}": Cell("", found.get(end)) for end in ENDS}


def shared_decimals(metric: str, found: Iterable[Sequence[float]]) -> int | None:
    """As many as show the largest of several standard deviations, at most two more than usual."""
    if metric not in METRICS:
        return None
    largest = max((deviation(values) for values in found if len(values) > 1), default=0.0)
    usual = METRICS[metric].decimals
    return next((d for d in range(usual, usual + 3) if round(largest, d) or not largest), usual)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of two or more; `statistics` takes ten times as long, by fractions."""
    mean = statistics.fmean(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def spread(metric: str, values: Sequence[float], decimals: int | None = None) -> Cell:
    """The mean ± standard deviation; the mean alone of one value."""
    if not values:
        return Cell()
    found = [statistics.fmean(values), *([deviation(values)] if len(values) > 1 else ())]
    texts = (figures.shown(metric, value, decimals) for value in found)
    return Cell(" ± ".join(texts), found[0])


def with_best(cells: Sequence[Cell], metric: str) -> list[Cell]:
    """The cells of one metric, the best marked; none of fewer than two numbers."""
    found = [cell for cell in cells if isinstance(cell.value, int | float)]
    if metric not in METRICS or len(found) < 2:
        return list(cells)
    best = min(found, key=lambda cell: METRICS[metric].badness(float(cell.value or 0)))
    return [replace(cell, best=True) if cell is best else cell for cell in cells]
