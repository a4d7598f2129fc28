"""The tables of a probe in the terminal: an encoder a row, and the model's stages."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from ctxenc.metrics.bootstrap import FEWEST_SEEDS, LEVEL, Figure
from ctxenc.metrics.registry import METRICS
from ctxenc.report.scores import checkpoint, in_tables, output, table_of, wrapped

METHODS = {name: METRICS[f"probe.{name}"].title for name in ("linear", "knn")}
PUBLISHED = {  # of (dataset, classes), what a reader should hold beside any figure of ours
    ("cifar10", 10): "features of one layer, by k-means, have 79.6 % (Coates, Lee and Ng, 2011)"
}
ROWS = {"model": "> this encoder", "random": "  random weights", "pixels": "  pixels"}


def show(metrics: dict[str, Any]) -> None:
    """Print a probe's ``metrics.json``: what was measured on, the rows, what they say."""
    console, dataset, rows = output(), metrics["dataset"], metrics["rows"]
    console.print(escape(described(metrics)))
    console.print(escape(checkpoint(metrics)))
    by_method = {
        method: [_cell(found.get(method)) for found in rows.values()] for method in methods(rows)
    }
    columns = [[title(method), *cells] for method, cells in by_method.items()]
    names = [ROWS.get(name, f"  {name}") for name in rows]
    for table in in_tables(names, columns, console.width):
        console.print(table)
    stages = metrics["stages"]["model"]
    heads = ("features", "linear", "knn")
    shown = [
        [
            head if head == "features" else METHODS[head],
            *(_number(head, s) for s in stages.values()),
        ]
        for head in heads
    ]
    console.print(f"By stage, on {dataset['validation_images']:,} validation images:")
    console.print(table_of([f"  {name}" for name in stages], shown))
    for line in sentences(metrics):
        console.print(escape(line))


def described(metrics: dict[str, Any]) -> str:
    """Which images and classes a probe is of."""
    dataset = metrics["dataset"]
    size = dataset["image_size"]
    return (
        f"{dataset['name']}, {size} × {size}, {len(dataset['classes'])} classes: "
        f"{dataset['train_images']:,} training images, {metrics['images']:,} test images"
    )


def sentences(metrics: dict[str, Any]) -> list[str]:
    """What the model's features are worth beside the controls', and beside published ones."""
    lines = []
    for row, by_method in metrics["model_minus"].items():
        words = ROWS.get(row, row).strip()
        lead = by_method["linear"]
        verb = "more than" if lead["low"] > 0 else "less than" if lead["high"] < 0 else "≈"
        low, high = (f"{lead[end]:+.1f}" for end in ("low", "high"))
        lines.append(f"linear probe: {lead['mean']:+.1f} points, {verb} {words} ({low} to {high})")
    dataset = metrics["dataset"]
    if published := PUBLISHED.get((dataset["name"], len(dataset["classes"]))):
        lines.append(f"as published: {published}")
    return lines


def methods(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The methods that any row has, linear probe and neighbours first."""
    return list(dict.fromkeys([*METHODS, *(m for found in rows.values() for m in found)]))


def title(method: str) -> str:
    """What a method is called: ``finetune_10`` is fine-tuning with 10 % of the labels."""
    kind, _, share = method.partition("_")
    return f"fine-tuned, {share.replace('_', '.')} % labels" if share else METHODS[kind]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    stage = f"  {figure['stage']}" if "stage" in figure else ""
    return f"{figure['mean']:.1f} ({figure['low']:.1f} to {figure['high']:.1f}){stage}"


def _number(head: str, stage: Mapping[str, float]) -> str:
    if head not in stage:
        return ""
    return f"{stage[head]:,.0f}" if head == "features" else f"{stage[head]:.1f}"


def verdict(metrics: dict[str, Any]) -> str:
    """A probe's figures in one line."""
    figures = metrics["rows"]["model"].items()
    return ", ".join(f"{title(method)} {figure['mean']:.1f} %" for method, figure in figures)


def show_runs(
    heading: str,
    settings: Mapping[str, Mapping[str, Mapping[str, Figure]]],
    seeds: Mapping[str, int],
) -> None:
    """Print a table of settings, the best linear probe first, and the controls below.

    Args:
        heading: what all of it was measured on.
        settings: by the settings' names, the figures of ``model``, ``random`` and ``pixels``.
        seeds: of how many runs each is the mean.
    """
    console = output()
    ordered = sorted(settings, key=lambda name: -settings[name]["model"]["linear"]["mean"])
    rows = [(name, str(seeds[name]), settings[name]["model"]) for name in ordered]
    for control in ("random", "pixels"):  # alike of settings with the same network and seeds
        different = {
            str(list(map(_interval, of[control].values()))): (str(seeds[name]), of[control])
            for name, of in settings.items()
        }
        rows += [(ROWS[control].strip(), *found) for found in different.values()]
    console.print(escape(heading))
    found = {str(n): of for n, (_, _, of) in enumerate(rows)}
    columns = [["n", *(count for _, count, _ in rows)]]
    columns += [
        [f"{title(method)} %", *(_interval(of.get(method)) for of in found.values())]
        for method in methods(found)
    ]
    for table in in_tables([wrapped(name) for name, *_ in rows], columns, console.width):
        console.print(table)
    console.print(
        f"With {LEVEL} % intervals over test images, and over seeds where there are "
        f"{FEWEST_SEEDS} or more."
    )


def _interval(figure: Figure | None) -> str:
    if figure is None:
        return ""
    ends = f" ({figure['low']:.1f} to {figure['high']:.1f})" if "low" in figure else ""
    return f"{figure['mean']:.1f}{ends}"
