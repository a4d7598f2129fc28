"""The tables of an evaluation in the terminal: a row a method, the best PSNR first."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ctxenc.baselines import title
from ctxenc.metrics.bootstrap import LEVEL, Figure
from ctxenc.metrics.registry import MAIN, METRICS, Metric

NARROWEST = 80  # characters, where the output is no terminal
WIDEST = 9  # characters of a heading's line
WIDEST_RUN = 28  # characters of a line of a run's name

Figures = dict[str, Figure]


def show(metrics: dict[str, Any]) -> None:
    """Print an evaluation's ``metrics.json`` as tables, the verdict and the notes."""
    console = output()
    console.print(escape(f"{_tested_on(metrics)}; {checkpoint(metrics)}"))
    for table in tables(metrics, console.width):
        console.print(table)
    verdict = metrics["verdict"]
    style = "bold green" if " beats " in verdict else "bold red" if " loses " in verdict else "bold"
    console.print(escape(f"{verdict[0].upper()}{verdict[1:]}."), style=style)
    for note in metrics["notes"]:
        console.print(escape(f"- {note}"))


def show_runs(evaluations: Mapping[str, dict[str, Any]]) -> None:
    """Print how the models of several runs stand: a table for each test, the best PSNR first.

    The tables have as many metrics as fit the width; then come the notes of all.

    Args:
        evaluations: by the runs' names, their ``metrics.json``.
    """
    console, tests = output(), dict[tuple[str, str], list[tuple[str, Figures]]]()
    titles = {}
    for run, metrics in evaluations.items():
        test = metrics["mask_hash"], metrics["dataset"]["test_fingerprint"]
        tests.setdefault(test, []).append((wrapped(run), metrics["rows"]["model"]))
        missing = f"{metrics['missing']['mean']:.1f} % missing"
        titles[test] = f"{metrics['name']}: {_tested_on(metrics)}, {missing}"
    for test, rows in tests.items():
        console.print(escape(titles[test]))
        console.print(_tables(rows, console.width)[0])
    for note in dict.fromkeys(note for m in evaluations.values() for note in m["notes"]):
        console.print(escape(f"- {note}"))


def output() -> Console:
    """Standard output, as wide as it is, and where that is no terminal wide enough."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    return console


def wrapped(run: str) -> str:
    """A run's name in lines that leave room for figures."""
    return "\n".join(textwrap.wrap(run, WIDEST_RUN, break_on_hyphens=False))


def checkpoint(metrics: dict[str, Any]) -> str:
    """Which weights an evaluation or a probe is of."""
    of = metrics["checkpoint"]
    averaged = ", averaged" if of["weights"] == "averaged" else ""
    return f"checkpoint {of['which']}, step {of['step']}{averaged}"


def _tested_on(metrics: dict[str, Any]) -> str:
    dataset = metrics["dataset"]
    size, images = dataset["image_size"], metrics["images"]
    return f"{dataset['name']}, {size} × {size}, {images} test images"


def tables(metrics: dict[str, Any], width: int) -> list[Table]:
    """The metrics that any row has, in as many tables as fit `width` characters.

    Rows are in the order of their PSNR; those of the first images only are starred.
    """
    images, found = metrics["images"], metrics["rows"].items()
    return _tables([(_name(row, figures, images), figures) for row, figures in found], width)


def _tables(rows: Sequence[tuple[str, Figures]], width: int) -> list[Table]:
    def badness(row: tuple[str, Figures]) -> float:
        return METRICS[MAIN].badness(row[1].get(MAIN, {}).get("mean", -math.inf))

    rows = sorted(rows, key=badness)
    columns = [
        [_heading(metric), *(_cell(metric, found.get(name)) for _, found in rows)]
        for name, metric in METRICS.items()
    ]
    filled = [column for column in columns if any(column[1:])]
    return in_tables([name for name, _ in rows], filled, width)


def in_tables(names: Sequence[str], columns: Sequence[list[str]], width: int) -> list[Table]:
    """The columns, each of which begins with its heading, in as many tables as fit the width."""
    groups: list[list[list[str]]] = []
    room = 0
    for column in columns:
        needs = 1 + _width(column)
        if needs > room:
            groups.append([])
            room = width - _width(names)
        groups[-1].append(column)
        room -= needs
    return [table_of(names, group) for group in groups]


def _width(cells: Sequence[str]) -> int:
    return max(len(line) for text in cells for line in text.split("\n"))


def table_of(names: Sequence[str], columns: Sequence[Sequence[str]]) -> Table:
    """A table of some rows by their names; a column begins with its heading."""
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
