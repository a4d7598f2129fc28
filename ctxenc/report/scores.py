"""The table of an evaluation in the terminal: a row a method, the best PSNR first."""

from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ctxenc.evaluation.statistics import TITLES
from ctxenc.metrics.bootstrap import LEVEL

NARROWEST = 80  # characters, where the output is no terminal

COLUMNS = (  # key, heading, decimals
    ("psnr_pooled_db", "pooled", 2),
    ("l1_percent", "L1 %", 2),
    ("l2_percent", "L2 %", 2),
    ("ssim", "SSIM", 3),
    ("sharpness", "sharp", 2),
    ("swd", "SWD", 1),
)


def show(metrics: dict[str, Any], file: TextIO | None = None) -> None:
    """Print an evaluation's ``metrics.json`` as a table, the verdict and the notes."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(table(metrics))
    if metrics.get("networks"):
        console.print(network_table(metrics))
    verdict = metrics["verdict"]
    style = "bold green" if " beats " in verdict else "bold red" if " loses " in verdict else "bold"
    console.print(escape(f"{verdict[0].upper()}{verdict[1:]}."), style=style)
    for note in metrics["notes"]:
        console.print(escape(f"- {note}"))


def table(metrics: dict[str, Any]) -> Table:
    """The rows by falling PSNR, the model's highlighted."""
    dataset, checkpoint = metrics["dataset"], metrics["checkpoint"]
    title = (
        f"{dataset['name']}, {dataset['image_size']} × {dataset['image_size']}, "
        f"{metrics['images']} test images; checkpoint {checkpoint['which']}, "
        f"step {checkpoint['step']}"
    )
    if checkpoint["weights"] == "averaged":
        title += ", averaged"
    shown = _empty(title)
    shown.add_column(f"PSNR dB ({LEVEL} % interval)", justify="right", no_wrap=True)
    for _, heading, _ in COLUMNS:
        shown.add_column(heading, justify="right", no_wrap=True)
    for row, figures in _by_psnr(metrics):
        psnr = figures["psnr_db"]
        cells = [f"{psnr['mean']:.2f} ({psnr['low']:.2f} to {psnr['high']:.2f})"]
        for key, _, decimals in COLUMNS:
            cells.append(f"{figures[key]['mean']:.{decimals}f}" if key in figures else "")
        star = "" if psnr["images"] == metrics["images"] else " *"
        shown.add_row(f"{_named(row)}{star}", *cells, style=_style(row))
    return shown


def network_table(metrics: dict[str, Any]) -> Table:
    """What the networks say of the rows' whole images, in the order of the other table."""
    shown = _empty("the whole images, by networks")
    headings = []
    if "inception" in metrics["networks"]:
        headings += [("fid", "FID", "{mean:.2f}"), ("kid", "KID × 1000", "{mean:.2f}")]
    if "lpips" in metrics["networks"]:
        cell = "{mean:.4f} ({low:.4f} to {high:.4f})"
        headings.append(("lpips", f"LPIPS ({LEVEL} % interval)", cell))
    for _, heading, _ in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    for row, figures in _by_psnr(metrics):
        cells = [form.format(**figures[key]) if key in figures else "" for key, _, form in headings]
        if any(cells):
            shown.add_row(_named(row), *cells, style=_style(row))
    return shown


def _empty(title: str) -> Table:
    shown = Table(
        title=escape(title),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    shown.add_column("", no_wrap=True)
    return shown


def _by_psnr(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(metrics["rows"].items(), key=lambda item: -item[1]["psnr_db"]["mean"])


def _named(row: str) -> str:
    return f"{'>' if row == 'model' else ' '} {TITLES.get(row, row)}"


def _style(row: str) -> str:
    return "bold cyan" if row == "model" else ""
