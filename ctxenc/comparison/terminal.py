"""Tables as text of the terminal's width: no number is ever broken, and no column left out."""

import io
import itertools
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ctxenc.comparison.tables import Cell, Table, Visible
from ctxenc.errors import printable

NARROWEST, WITHOUT_TERMINAL = 60, 2000  # columns of text
GAP, INDENT = 2, 2  # columns between columns, and before those below a name
LONGEST = 0.4  # of the width: a longer name is above its figures, not beside them


def text(tables: Sequence[Table]) -> str:
    """All tables with their titles and notes; wide ones in parts of as many columns as fit.

    Rows that have nothing in a part are not in it.
    """
    inside = sys.stdout.isatty()
    width = WITHOUT_TERMINAL
    if inside or "COLUMNS" in os.environ:
        width = max(NARROWEST, shutil.get_terminal_size().columns)
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=inside, highlight=False)
    for table in tables:
        _show(console, table, width)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def _show(console: Console, table: Table, width: int) -> None:
    columns = table.visible()
    others = [visible for visible in columns[1:] if not visible[0].setting]
    names, note = _names(columns[0][1], [visible for visible in columns if visible[0].setting])
    name: Visible = columns[0][0], [Cell(text) for text in names]
    widest = max(map(_width, others), default=width)
    whole = sum(map(_width, columns)) <= width or INDENT + widest > width
    beside = _width(name) <= min(LONGEST * width, width - widest)
    console.print(Text(printable(table.title), style="bold"))
    if table.answer:
        console.print(Text(printable(table.answer)))
    for line in (*table.notes, *([note] if note and not whole else ())):
        console.print(Text(printable(line), style="dim"))
    if whole:
        console.print(_drawn(columns))
    else:
        for part in _parts(others, width - (_width(name) + GAP if beside else INDENT)):
            rows = zip(*(cells for _, cells in part), strict=True)
            there = [any(cell.text for cell in row) for row in rows]
            kept = [(column, [*compress(cells, there)]) for column, cells in (name, *part)]
            if beside:
                console.print(_drawn(kept))
            else:
                _show_below(console, width, *kept)
    console.print()


def _show_below(console: Console, width: int, name: Visible, *part: Visible) -> None:
    """Each row's figures below its name."""
    with console.capture() as captured:
        console.print(_drawn(part))
    heads = [printable(name[0].title), *(cell.text for cell in name[1])]
    for head, line in zip(heads, captured.get().splitlines(), strict=True):
        if cell_len(head) > width:
            console.print(Text(head))
        elif head:  # as they are: printing thousands one by one takes as long as all else
            console.file.write(f"{head}\n")
        console.file.write(f"{' ' * INDENT}{line}\n")


def _drawn(columns: Sequence[Visible]) -> RichTable:
    drawn = RichTable(box=None, padding=(0, GAP, 0, 0), header_style="dim")
    for column, _ in columns:
        justify: Literal["left", "right"] = "right" if column.number else "left"
        title = Text(printable(column.title))
        drawn.add_column(title, justify=justify, overflow="fold", no_wrap=column.number)
    for row in zip(*(cells for _, cells in columns), strict=True):
        drawn.add_row(*(Text(cell.text, style="bold" if cell.best else "") for cell in row))
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
    """The columns, as many at a time as fit; a group that would fit as a whole begins anew."""
    parts: list[list[Visible]] = []
    left = 0
    for _, group in itertools.groupby(columns, key=lambda visible: visible[0].group):
        members = list(group)
        begun = bool(parts and parts[-1][-1][0].group)
        if begun and left < sum(map(_width, members)) <= width + GAP:
            left = 0
        for column in members:
            needed = _width(column)
            if needed > left:
                parts.append([])
                left = width + GAP  # none after the last
            parts[-1].append(column)
            left -= needed
    return parts
