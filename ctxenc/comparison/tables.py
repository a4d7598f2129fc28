"""Tables of text and numbers, shown in a terminal, as Markdown, as CSV and as JSON."""

import csv
import io
import itertools
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ctxenc.errors import printable

FORMATS = ("table", "md", "csv", "json")
NARROWEST, WITHOUT_TERMINAL = 60, 2000  # columns of text
GAP, INDENT = 2, 2  # columns between columns, and before those below a name

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
    """What is shown, the value behind it, by which one sorts, and (low, high) around it."""

    text: str = ""
    value: Value = None
    interval: tuple[float, float] | tuple[()] = ()

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
    """One table with its notes."""

    key: str
    title: str
    notes: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]

    def visible(self) -> list[Visible]:
        """The columns that are not hidden, each with its cells."""
        columns = [column for column in self.columns if not column.hidden]
        return [(c, [row.get(c.key, Cell()) for row in self.rows]) for c in columns]

    def values(self) -> list[dict[str, Value]]:
        """Each row by the keys of all columns."""
        return [{c.key: row.get(c.key, Cell()).value for c in self.columns} for row in self.rows]


def render(tables: Sequence[Table], form: str) -> str:
    """All tables in one of `FORMATS`."""
    forms = {"table": _terminal, "md": _markdown, "csv": _csv, "json": _json}
    return forms[form](tables)


def _terminal(tables: Sequence[Table]) -> str:
    inside = sys.stdout.isatty()
    width = WITHOUT_TERMINAL
    if inside or "COLUMNS" in os.environ:
        width = max(NARROWEST, shutil.get_terminal_size().columns)
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=inside, highlight=False)
    for table in tables:
        columns = table.visible()
        settings = [c for c in columns if c[0].setting]
        others = [c for c in columns[1:] if not c[0].setting]
        needed = INDENT + max(map(_width, others), default=width)
        stacked = sum(map(_width, columns)) > width >= needed
        names, note = _names(columns[0][1], settings)
        console.print(Text(printable(table.title), style="bold"))
        for line in (*table.notes, *([note] if stacked and note else ())):
            console.print(Text(printable(line), style="dim"))
        if stacked:
            for part in _parts(others, width - INDENT):
                rows = zip(*(cells for _, cells in part), strict=True)
                there = [any(cell.text for cell in row) for row in rows]
                with console.capture() as captured:
                    console.print(_drawn([(c, [*compress(cells, there)]) for c, cells in part]))
                heads = [printable(columns[0][0].title), *compress(names, there)]
                for name, line in zip(heads, captured.get().splitlines(), strict=True):
                    console.print(Text(name), end="\n" if name else "")
                    file.write(f"{' ' * INDENT}{line}\n")
        else:
            console.print(_drawn(columns))
        console.print()
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def _drawn(columns: Sequence[Visible]) -> RichTable:
    drawn = RichTable(box=None, padding=(0, GAP, 0, 0), header_style="dim")
    for column, _ in columns:
        justify: Literal["left", "right"] = "right" if column.number else "left"
        title = Text(printable(column.title))
        drawn.add_column(title, justify=justify, overflow="fold", no_wrap=column.number)
    for row in zip(*(cells for _, cells in columns), strict=True):
        drawn.add_row(*(Text(cell.text) for cell in row))
    return drawn


def _width(visible: Visible) -> int:
    """Of a column in which nothing is folded."""
    column, cells = visible
    return GAP + max(map(cell_len, [printable(column.title), *(cell.text for cell in cells)]))


def _names(runs: Sequence[Cell], settings: Sequence[Visible]) -> tuple[list[str], str]:
    """Each run with the settings in which it is not like most; what most have, as a note."""
    names, most = [run.text for run in runs], []
    for column, cells in settings:
        texts = [cell.text for cell in cells]
        key, usual = printable(column.key), Counter(texts).most_common(1)[0][0]
        names = [f"{n}  {key}={t}" if t != usual else n for n, t in zip(names, texts, strict=True)]
        most += [f"{key}={usual}"] if usual else []
    return names, f"Where not said otherwise: {'  '.join(most)}" if most else ""


def _parts(columns: Iterable[Visible], width: int) -> list[list[Visible]]:
    """The columns, as many at a time as fit; a group that does not fit as a whole begins anew."""
    parts: list[list[Visible]] = []
    left = 0
    for _, group in itertools.groupby(columns, key=lambda visible: visible[0].group):
        members = list(group)
        if sum(map(_width, members)) > left:
            left = 0
        for column in members:
            needed = _width(column)
            if needed > left:
                parts.append([])
                left = width + GAP  # none after the last
            parts[-1].append(column)
            left -= needed
    return parts


def _markdown(tables: Sequence[Table]) -> str:
    lines = []
    for table in tables:
        lines += [f"### {_md(table.title)}", ""]
        lines += [line for note in table.notes for line in (_md(note), "")]
        columns = table.visible()
        rows = [
            [_md(column.title) for column, _ in columns],
            ["---:" if column.number else "---" for column, _ in columns],
            *zip(*([_md(cell.text) for cell in cells] for _, cells in columns), strict=True),
        ]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines).rstrip()


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = "".join(f"\\{c}" if c in "\\|`*_<>[]" else c for c in printable(text))
    return escaped.replace("&", "&amp;")


def _csv(tables: Sequence[Table]) -> str:
    """One CSV for all tables: ``table`` tells them apart, columns that one lacks are blank."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(printable, ["table", *keys]))
    for table in tables:
        for row in table.values():
            values = [table.title, *map(row.get, keys)]
            writer.writerow(printable(v) if isinstance(v, str) else v for v in values)
    return file.getvalue().rstrip("\n")


def _json(tables: Sequence[Table]) -> str:
    found = [
        {"key": t.key, "title": t.title, "notes": list(t.notes), "rows": t.values()} for t in tables
    ]
    return json.dumps({"tables": found}, indent=2, allow_nan=False)
