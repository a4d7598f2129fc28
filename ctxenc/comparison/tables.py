"""Tables of text and numbers, shown in a terminal, as Markdown, as CSV and as JSON."""

import csv
import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
    """

    key: str
    title: str
    number: bool = False
    hidden: bool = False
    setting: bool = False
    metric: str = ""


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
"""A row's cells by the keys of their columns; those that it lacks are blank."""


@dataclass(frozen=True)
class Table:
    """One table with its notes."""

    key: str
    title: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(
        cls,
        key: str,
        title: str,
        notes: Iterable[str],
        columns: Sequence[Column],
        rows: Iterable[Row],
    ) -> "Table":
        """The table of rows that may have more cells than there are columns, or fewer."""
        cells = tuple(tuple(row.get(column.key, Cell()) for column in columns) for row in rows)
        return cls(key, title, tuple(notes), tuple(columns), cells)

    def shown(self) -> "Table":
        """The same without the hidden columns."""
        return self.only(i for i, column in enumerate(self.columns) if not column.hidden)

    def only(self, places: Iterable[int]) -> "Table":
        """The same with these columns alone."""
        keep = list(places)
        columns = tuple(self.columns[i] for i in keep)
        rows = tuple(tuple(row[i] for i in keep) for row in self.rows)
        return replace(self, columns=columns, rows=rows)


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
    for table in map(Table.shown, tables):
        console.print(Text(printable(table.title), style="bold"))
        narrow, names, usual = _narrow(table)
        stacked = _width(table) > width >= INDENT + _width(narrow)
        for note in (*table.notes, *(usual if stacked else ())):
            console.print(Text(printable(note), style="dim"))
        if stacked:
            with console.capture() as captured:
                console.print(_drawn(narrow))
            lines = captured.get().splitlines()
            file.write(f"{' ' * INDENT}{lines[0]}\n")
            for name, line in zip(names, lines[1:], strict=True):
                console.print(Text(name))
                file.write(f"{' ' * INDENT}{line}\n")
        else:
            console.print(_drawn(table))
        console.print()
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(box=None, padding=(0, GAP, 0, 0), header_style="dim")
    for column in table.columns:
        justify: Literal["left", "right"] = "right" if column.number else "left"
        title = Text(printable(column.title))
        drawn.add_column(title, justify=justify, overflow="fold", no_wrap=column.number)
    for row in table.rows:
        drawn.add_row(*(Text(cell.text) for cell in row))
    return drawn


def _width(table: Table) -> int:
    """How wide it is where nothing is folded."""
    titles = [Cell(column.title) for column in table.columns]
    return sum(
        GAP + max(cell_len(cell.text) for cell in column)
        for column in zip(titles, *table.rows, strict=True)
    )


def _narrow(table: Table) -> tuple[Table, list[str], list[str]]:
    """For a narrow terminal: (the table without names and settings, these by row, a note).

    A row's settings are those in which it is not like most rows; what most rows have is in the
    note.
    """
    inside = [i for i, column in enumerate(table.columns) if column.setting]
    named = {i: printable(table.columns[i].key) for i in inside}
    usual = {i: Counter(row[i].text for row in table.rows).most_common(1)[0][0] for i in inside}
    names = [
        "  ".join(
            [row[0].text, *(f"{named[i]}={row[i].text}" for i in inside if row[i].text != usual[i])]
        )
        for row in table.rows
    ]
    most = "  ".join(f"{named[i]}={usual[i]}" for i in inside if usual[i])
    note = [f"Where not said otherwise: {most}"] if most else []
    return table.only(i for i in range(1, len(table.columns)) if i not in inside), names, note


def _markdown(tables: Sequence[Table]) -> str:
    lines = []
    for table in map(Table.shown, tables):
        lines += [f"### {_md(table.title)}", ""]
        lines += [line for note in table.notes for line in (_md(note), "")]
        lines.append(_md_row([column.title for column in table.columns]))
        lines.append(_md_row(["---:" if column.number else "---" for column in table.columns]))
        lines += [_md_row([cell.text for cell in row]) for row in table.rows]
        lines.append("")
    return "\n".join(lines).rstrip()


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_md(cell) for cell in cells)} |"


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
        for record in _records(table):
            values = [table.title, *map(record.get, keys)]
            writer.writerow(printable(v) if isinstance(v, str) else v for v in values)
    return file.getvalue().rstrip("\n")


def _json(tables: Sequence[Table]) -> str:
    found = [
        {"key": t.key, "title": t.title, "notes": list(t.notes), "rows": _records(t)}
        for t in tables
    ]
    return json.dumps({"tables": found}, indent=2, allow_nan=False)


def _records(table: Table) -> list[dict[str, Value]]:
    keys = [column.key for column in table.columns]
    return [{k: c.value for k, c in zip(keys, row, strict=True)} for row in table.rows]
