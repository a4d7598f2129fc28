"""A table as HTML: sortable, the best figures bold, intervals drawn; all text is escaped here."""

import re
from collections.abc import Sequence
from html import escape

from ctxenc.comparison.records import METRICS
from ctxenc.errors import printable
from ctxenc.report.tables import Cell, Column, Table

COLOURS, DASHES = 7, ("", "7 4", "2 3", "7 3 2 3")
LONG = 60  # letters in a cell that may fold
WHISKER = 160  # pixels wide


def text(found: str) -> str:
    """Text from outside as HTML, control characters made visible."""
    return escape(printable(found))


def breakable(found: str) -> str:
    """A run's name as HTML that breaks after its commas and slashes, if it must."""
    parts = re.findall(r"[^,/]*[,/]|[^,/]+", printable(found))
    return "".join(f'<span class="bit">{escape(part)}</span>' for part in parts)


def table(found: Table) -> str:
    """A table in a frame of its own, which scrolls; every column sorts."""
    shown = found.shown()
    heads = "".join(_head(column) for column in shown.columns)
    columns = list(zip(shown.columns, *shown.rows, strict=True))
    winners = [_winner(column, cells) if found.labels else None for column, *cells in columns]
    reaches = [max((abs(x) for c in cells for x in c.interval), default=0) for _, *cells in columns]
    rows = []
    for number, row in enumerate(shown.rows):
        swatch = key(number) if found.labels and found.key.startswith("section-") else ""
        value = text(str(row[0].value or ""))
        name = f'<span class="name">{breakable(row[0].text)}</span>'
        cells = [f'<th scope="row" data-value="{value}" title="{value}">{swatch}{name}</th>']
        for i, (column, cell) in enumerate(zip(shown.columns, row, strict=True)):
            if i > 0:
                cells.append(_cell(column, cell, winners[i] is cell, reaches[i]))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    caption = escape(printable(found.title), quote=True)
    return (
        f'<div class="frame" role="region" aria-label="{caption}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def key(number: int) -> str:
    """The line that a run's curve is drawn with."""
    colour, dash = number % COLOURS, DASHES[number // COLOURS % len(DASHES)]
    return (
        '<svg class="key" viewBox="0 0 24 10" aria-hidden="true"><path d="M0 5h24" '
        f'style="stroke:var(--c{colour})" stroke-width="3" stroke-dasharray="{dash}"/></svg>'
    )


def _head(column: Column) -> str:
    kind = ' class="number"' if column.number else ""
    return f'<th scope="col"{kind}><button type="button">{text(column.title)}</button></th>'


def _cell(column: Column, cell: Cell, winner: bool, reach: float) -> str:
    value = "" if cell.value is None else text(str(cell.value))
    kinds = ["number"] if column.number else []
    kinds += ["winner"] if winner else []
    kinds += ["long"] if len(cell.text) > LONG else []
    shown = breakable(cell.text) if column.key == "baseline" else escape(cell.text)
    if column.key == "state":
        shown = f'<span class="state state-{escape(cell.text)}">{shown}</span>'
    if cell.interval and isinstance(cell.value, float) and reach > 0:
        shown += _whisker(cell.value, *cell.interval, reach, METRICS[column.key].higher_is_better)
    return f'<td class="{" ".join(kinds)}" data-value="{value}">{shown}</td>'


def _whisker(mean: float, low: float, high: float, reach: float, up: bool) -> str:
    """An interval beside zero, on the column's common scale, coloured by which way is better."""
    at = [round((x / reach + 1) * (WHISKER / 2 - 4) + 4, 1) for x in (mean, low, high)]
    better, worse = (low > 0, high < 0) if up else (high < 0, low > 0)
    kind = "better" if better else "worse" if worse else "open"
    return (
        f'<svg class="whisker {kind}" viewBox="0 0 {WHISKER} 12" aria-hidden="true">'
        f'<path class="zero" d="M{WHISKER / 2} 0v12"/><path d="M{at[1]} 6H{at[2]}"/>'
        f'<circle cx="{at[0]}" cy="6" r="3"/></svg>'
    )


def _winner(column: Column, cells: Sequence[Cell]) -> Cell | None:
    """The best of a metric's column, where there are several to choose from."""
    metric = METRICS.get(column.key.removeprefix("best."))
    numbers = [cell for cell in cells if isinstance(cell.value, int | float)]
    if metric is None or len(numbers) < 2:
        return None
    pick = max if metric.higher_is_better else min
    return pick(numbers, key=lambda cell: float(cell.value or 0))
