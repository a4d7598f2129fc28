"""All benchmarks that tell whether ctxenc has become slower, with what they said before.

    make bench                                          # with PyTorch in an environment of its own
    python benchmarks/bench.py [--torch PYTHON] [--parts step run …] [--note TEXT]

Each part is a program beside this one, run in a process of its own; a part that fails is named and
the others go on. Prints a table: each figure beside the last one from a processor of the same name.
Writes all figures to `benchmarks/latest.json`, adds a line to `benchmarks/history.jsonl` (commit,
processor, figures) and draws the ratios of the history to `benchmarks/history.png`. Machines drift
by tens of per cent and ratios, whose two sides take turns, by less: only they are plotted.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
LATEST, HISTORY, PLOT = (HERE / f for f in ("latest.json", "history.jsonl", "history.png"))
BFLOAT16 = "precision=bfloat16"
PARTS = {
    "step": ["train_step.py", "--models", "cifar", "tf_original", "--rounds", "9"],
    "step_128px": ["train_step.py", "--models", "paper_center", "--rounds", "3", "--no-lax"],
    "run": ["end_to_end.py"],
    "run_bfloat16": ["end_to_end.py", BFLOAT16],
    "start_up": ["start_up.py"],
    "sweep": ["sweep.py"],
    "folder": ["large_folder.py", "--images", "4000"],
}
WITH_TORCH = ("step", "step_128px")
RATIOS = ("_vs_torch", "_vs_torchs_best", "_of_matrix_rate", "_vs_lax", ".ratio", ".without_test")
SLOWER = 0.9  # a ratio below this share of the last one is marked

Figures = dict[str, float]


def flat(found: Any, name: str) -> Figures:
    """Nested figures by names with dots."""
    if isinstance(found, dict):
        return {k: v for key in found for k, v in flat(found[key], f"{name}.{key}").items()}
    if isinstance(found, list):
        return flat(dict(enumerate(found)), name)
    return {name: found}


def measured(name: str, python: str) -> Figures:
    """The figures of one part: the JSON object that its program prints last."""
    command = [python, str(HERE / PARTS[name][0]), *PARTS[name][1:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return flat(json.loads(done.stdout.splitlines()[-1]), name)


def processor() -> str:
    """Its name and how many of its cores are ours."""
    known = Path("/proc/cpuinfo")  # Linux has it
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def commit() -> str:
    """The commit that was measured, with a + where files differ from it."""
    told = ["git", "-C", str(HERE), "describe", "--always", "--abbrev=10", "--dirty=+"]
    return subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()


def history() -> list[dict[str, Any]]:
    """The lines of earlier benchmarks, oldest first."""
    return (
        [json.loads(line) for line in HISTORY.read_text().splitlines()] if HISTORY.exists() else []
    )


def is_ratio(name: str) -> bool:
    """Whether a figure compares two things that took turns."""
    return name.endswith(RATIOS)


def show(figures: Figures, before: Figures, console: Console) -> None:
    """The table; what fell is marked."""
    table = Table("", "now", "before", "", title="higher is better where it is a ratio")
    for name, value in figures.items():
        last = before.get(name)
        fell = last is not None and is_ratio(name) and value < SLOWER * last
        cells = (f"{value:g}", "" if last is None else f"{last:g}", "slower" if fell else "")
        table.add_row(name, *cells, style="bold red" if fell else None)
    console.print(table)


def draw(lines: list[dict[str, Any]]) -> None:
    """The ratios of the processor that was measured last, commit by commit."""
    lines = [line for line in lines if line["processor"] == lines[-1]["processor"]]
    names = sorted({name for line in lines for name in line["figures"] if is_ratio(name)})
    if not names:
        return
    columns = 3
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(12, 1.9 * rows), squeeze=False, layout="constrained"
    )
    for name, axis in zip(names, axes.flat, strict=False):
        values = [line["figures"].get(name, float("nan")) for line in lines]
        axis.plot(range(len(lines)), values, marker="o", markersize=3)
        axis.set_title(name, fontsize=8)
        axis.set_ylim(0, 1.15 * max(v for v in values if v == v))
        axis.set_xticks(range(len(lines)), [line["commit"][:7] for line in lines], fontsize=6)
    for axis in list(axes.flat)[len(names) :]:
        axis.remove()
    figure.suptitle(lines[-1]["processor"], fontsize=9)
    figure.savefig(PLOT, dpi=110)


def main() -> None:
    """Measure, write, print; 1 where a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--torch", metavar="PYTHON", help="of an environment that has PyTorch")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--note", default="", help="kept in the history: was the machine quiet?")
    options = parser.parse_args()
    console, failed = Console(width=100), []
    figures: Figures = {}
    for name in options.parts:
        if name in WITH_TORCH and options.torch is None:
            console.print(f"{name}: left out, as --torch is not given")
            continue
        began = time.monotonic()
        try:
            python = options.torch if name in WITH_TORCH else sys.executable
            figures |= measured(name, python)
        except (subprocess.CalledProcessError, json.JSONDecodeError, IndexError) as error:
            failed.append(name)
            console.print(f"{name}: failed: {error}")
        console.print(f"{name}: {time.monotonic() - began:.0f} s")
    line = {
        **{"commit": commit(), "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M")},
        **{"processor": processor(), "jax": jax.__version__, "note": options.note},
        "figures": figures,
    }
    LATEST.write_text(json.dumps(line, indent=1) + "\n")
    earlier = [old for old in history() if old["processor"] == line["processor"]]
    show(figures, {k: v for old in earlier for k, v in old["figures"].items()}, console)
    if figures:
        with HISTORY.open("a") as file:
            file.write(json.dumps(line) + "\n")
        draw(history())
    print(LATEST)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
