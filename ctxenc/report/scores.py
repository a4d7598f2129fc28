"""The tables of an evaluation in the terminal: a row a method, the best PSNR first."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ctxenc.baselines import title
from ctxenc.metrics.bootstrap import LEVEL, Figure
from ctxenc.metrics.registry import MAIN, METRICS, Metric

NARROWEST = 80  # characters, where the output is no terminal
WIDEST = 9  # characters of a heading's line

Figures = dict[str, Figure]


def show(metrics: dict[str, Any], file: TextIO | None = None) -> None:
    """Print an evaluation's ``metrics.json`` as tables, the verdict and the notes."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    dataset, checkpoint = metrics["dataset"], metrics["checkpoint"]
    averaged = ", averaged" if checkpoint["weights"] == "averaged" else ""
    console.print(
        escape(
            f"{dataset['name']}, {dataset['image_size']} × {dataset['image_size']}, "
            f"{metrics['images']} test images; checkpoint {checkpoint['which']}, "
            f"step {checkpoint['step']}{averaged}"
        )
    )
    for table in tables(metrics, console.width):
        console.print(table)
    verdict = metrics["verdict"]
    style = "bold green" if " beats " in verdict else "bold red" if " loses " in verdict else "bold"
    console.print(escape(f"{verdict[0].upper()}{verdict[1:]}."), style=style)
    for note in metrics["notes"]:
        console.print(escape(f"- {note}"))


def tables(metrics: dict[str, Any], width: int) -> list[Table]:
    """The metrics that any row has, in as many tables as fit `width` characters.

    Rows are in the order of their PSNR; those of the first images only are starred.
    """

    def badness(item: tuple[str, Figures]) -> float:
        return METRICS[MAIN].badness(item[1].get(MAIN, {}).get("mean", -math.inf))

    rows = sorted(metrics["rows"].items(), key=badness)
    names = [_name(row, figures, metrics["images"]) for row, figures in rows]
    groups: list[list[list[str]]] = []
    room = 0
    for name, metric in METRICS.items():
        column = [_heading(metric), *(_cell(metric, figures.get(name)) for _, figures in rows)]
        if any(column[1:]):
            needs = 1 + max(len(line) for text in column for line in text.split("\n"))
            if needs > room:
                groups.append([])
                room = width - max(map(len, names))
            groups[-1].append(column)
            room -= needs
    return [_table(names, group) for group in groups]


def _table(names: Sequence[str], columns: Sequence[Sequence[str]]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    shown.add_column("", no_wrap=True)
    for heading, *_ in columns:
        shown.add_column(heading, justify="right", no_wrap=True)
    for name, *cells in zip(names, *(cells for _, *cells in columns), strict=True):
        if any(cells):
            style = "bold cyan" if name.startswith(">") else ""
            shown.add_row(escape(name), *cells, style=style)
    return shown


def _name(row: str, figures: Figures, images: int) -> str:
    star = " *" if figures.get(MAIN, {}).get("images") != images else ""
    return f"{'>' if row == 'model' else ' '} {title(row)}{star}"


def _heading(metric: Metric) -> str:
    interval = f"\n({LEVEL} % interval)" if metric.interval else ""
    return "\n".join(textwrap.wrap(metric.heading, WIDEST, break_long_words=False)) + interval


def _cell(metric: Metric, figure: Figure | None) -> str:
    if figure is None:
        return ""
    mean, low, high = (metric.shown(figure.get(n, math.nan)) for n in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})" if metric.interval and "low" in figure else mean
