"""The table of an evaluation in the terminal: a row a method, the best PSNR first."""

from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ctxenc.evaluation.intervals import LEVEL
from ctxenc.evaluation.verdict import TITLES

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
    shown = Table(
        title=escape(title),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    shown.add_column("", no_wrap=True)
    shown.add_column(f"PSNR dB ({LEVEL} % interval)", justify="right", no_wrap=True)
    for _, heading, _ in COLUMNS:
        shown.add_column(heading, justify="right", no_wrap=True)
    rows = metrics["rows"]
    for row in sorted(rows, key=lambda row: -rows[row]["psnr_db"]["mean"]):
        figures = rows[row]
        psnr = figures["psnr_db"]
        cells = [f"{psnr['mean']:.2f} ({psnr['low']:.2f} to {psnr['high']:.2f})"]
        for key, _, decimals in COLUMNS:
            cells.append(f"{figures[key]['mean']:.{decimals}f}" if key in figures else "")
        style = "bold cyan" if row == "model" else ""
        star = "" if psnr["images"] == metrics["images"] else " *"
        name = f"{'>' if row == 'model' else ' '} {TITLES.get(row, row)}{star}"
        shown.add_row(name, *cells, style=style)
    return shown
