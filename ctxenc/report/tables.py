"""Tables of text and numbers, shown in a terminal, as Markdown, as CSV and as JSON."""

import csv
import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ctxenc.errors import printable

FORMATS = ("table", "md", "csv", "json")
NARROWEST, WITHOUT_TERMINAL = 60, 2000  # columns of text
GAP = 2  # columns between columns

Value = float | str | None


@dataclass(frozen=True)
class Column:
    """`key` names it in CSV and JSON, `title` for people; a hidden one is in those two only.

    A `setting` is a key of the configuration.
    """

    key: str
    title: str
    number: bool = False
    hidden: bool = False
    setting: bool = False


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


@dataclass(frozen=True)
class Table:
    """One table with its notes. `labels` names the run of each row, where a row is one run."""

    key: str
    title: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    labels: tuple[str, ...] = ()

    def shown(self) -> "Table":
        """The same without the hidden columns."""
        keep = [i for i, column in enumerate(self.columns) if not column.hidden]
        columns = tuple(self.columns[i] for i in keep)
        rows = tuple(tuple(row[i] for i in keep) for row in self.rows)
        return Table(self.key, self.title, self.notes, columns, rows, self.labels)


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
    for number, table in enumerate(map(Table.shown, tables)):
        if number:
            console.print()
        fitting = table if _width(table) <= width else _short(table)
        console.print(Text(printable(fitting.title), style="bold"))
        for note in fitting.notes:
            console.print(Text(printable(note), style="dim"))
        drawn = RichTable(box=None, padding=(0, GAP, 0, 0), header_style="dim")
        for column in fitting.columns:
            justify: Literal["left", "right"] = "right" if column.number else "left"
            drawn.add_column(
                Text(column.title), justify=justify, overflow="fold", no_wrap=column.number
            )
        for row in fitting.rows:
            drawn.add_row(*(Text(cell.text) for cell in row))
        console.print(drawn)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _width(table: Table) -> int:
    """How wide it is where nothing is folded."""
    titles = [Cell(column.title) for column in table.columns]
    return sum(
        GAP + max(len(cell.text) for cell in column)
        for column in zip(titles, *table.rows, strict=True)
    )


def _short(table: Table) -> Table:
    """The same with the settings in one column: of each row, those that are not as most rows'."""
    inside = [i for i, column in enumerate(table.columns) if column.setting]
    if len(inside) < 2:
        return table
    usual = {i: Counter(row[i].text for row in table.rows).most_common(1)[0][0] for i in inside}
    rows = []
    for row in table.rows:
        own = [(table.columns[i].key, row[i].text) for i in inside if row[i].text != usual[i]]
        cells = [cell for i, cell in enumerate(row) if i not in inside]
        cells.insert(inside[0], Cell("\n".join(f"{key}={text}" for key, text in own)))
        rows.append(tuple(cells))
    columns = [column for column in table.columns if not column.setting]
    columns.insert(inside[0], Column("differs", "differs"))
    most = "  ".join(f"{table.columns[i].key}={usual[i]}" for i in inside if usual[i])
    notes = (*table.notes, f"Where not said otherwise: {most}")
    return Table(table.key, table.title, notes, tuple(columns), tuple(rows), table.labels)


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
    """One CSV for all tables: ``table`` tells them apart, columns that one has not are blank."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    file = io.StringIO()
    writer = csv.DictWriter(file, ["table", *keys], lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for record in _records(table):
            named = {"table": table.title, **record}
            plain = {k: printable(v) if isinstance(v, str) else v for k, v in named.items()}
            writer.writerow(plain)
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
