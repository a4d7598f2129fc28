"""Two runs image by image: how much better one fills the very same test images' holes."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ctxenc.comparison import evaluated, figures
from ctxenc.comparison.evaluated import Evaluated
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison
from ctxenc.comparison.tables import Cell, Column, Row, Table
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics import bootstrap, registry
from ctxenc.metrics.bootstrap import Columns
from ctxenc.metrics.registry import METRICS

DIFFERENCE = "test.difference"  # begins the keys of columns


def tables(comparison: Comparison, *, everything: bool = False) -> tuple[list[Table], list[str]]:
    """Every run's evaluation minus that of a baseline with the same masks and images.

    The first run stands in where no section's baseline has such an evaluation. Minor metrics are
    shown with `everything`.

    Returns:
        (a table for each set of masks and images, best first; what could not be used, and why).
    """
    baselines = (section.baseline for section in comparison.sections if section.baseline)
    sides: dict[Any, dict[Any, Evaluated]] = {}
    left_out: list[str] = []
    without: list[str] = []
    for record in dict.fromkeys([*baselines, *comparison.ranked]):
        mine: list[Evaluated] = []
        for evaluation in Evaluation.all_of(record.run):
            if not evaluation.has_images:
                without.append(f"{record.label}/evaluation/{evaluation.name}")
                continue
            with _noted(left_out, record):
                mine.append(evaluated.read(record, evaluation))
        for side in sorted(mine, key=evaluated.preference):
            # Of older runs the test split chose the best: they have tables of their own.
            split = record.tested_on and record.tested_on.split
            same = sides.setdefault((split, side.on), {})
            same.setdefault((record, side.saved), side)  # one checkpoint twice is the same
    if without:  # as in an archive of small files: one line, whatever its size
        others = f" and {len(without) - 1} more" if len(without) > 1 else ""
        left_out.append(f"{without[0]}{others}: no per_image.csv, so no paired differences")
    found: list[Table] = []
    for same in sides.values():
        if len(same) > 1:
            whole = _whole(same.values(), left_out)
            found += _table(f"paired-{len(found)}", whole, everything)
    return found, left_out


def _whole(sides: Iterable[Evaluated], left_out: list[str]) -> list[tuple[Evaluated, Columns]]:
    """Those that can be read and have as many images as the first, with each image's values."""
    whole: list[tuple[Evaluated, Columns]] = []
    for side in sides:
        with _noted(left_out, side.record):
            columns = _columns(side.evaluation)
            first, of_first = whole[0] if whole else (side, columns)
            count, expected = (len(next(iter(c.values()))) for c in (columns, of_first))
            if count != expected:
                raise UserError(
                    f"{side.name}: evaluation {side.evaluation.name} has {count} images "
                    f"and that of {first.name} {expected}"
                )
            whole.append((side, columns))
    return whole


def _table(key: str, whole: list[tuple[Evaluated, Columns]], everything: bool) -> list[Table]:
    """All but the first minus the first: a baseline, since they come first, or its stand-in."""
    if len(whole) < 2:
        return []
    first, images = whole[0][0], len(next(iter(whole[0][1].values())))
    baseline, *others = bootstrap.resampled_figures([columns for _, columns in whole])
    rows: list[tuple[dict[str, float], Row]] = []
    for (side, _), own in zip(whole[1:], others, strict=True):
        means: dict[str, float] = {}
        row: Row = {"images": Cell(str(images), images), "baseline": Cell.of(first.name)}
        row |= {"run": Cell.of(side.name), "evaluation": Cell.of(side.evaluation.name)}
        for metric in own.keys() & baseline.keys():
            difference = own[metric] - baseline[metric]
            if np.isfinite(difference).all():
                found = bootstrap.figure(difference)
                means[metric] = found["mean"]
                row |= _cells(metric, found)
        if means:
            rows.append((means, row))
    if not rows:
        return []
    rows.sort(key=lambda pair: figures.badness(pair[0]))
    names = {row["evaluation"].text for _, row in rows}
    columns = [Column("run", "run"), Column("evaluation", "evaluation", hidden=len(names) == 1)]
    columns += [Column("baseline", "minus", hidden=True), Column("images", "images", True, True)]
    for name in figures.names(means for means, _ in rows):
        minor = METRICS[name].minor and not everything
        mean = Column(f"{DIFFERENCE}.{name}", figures.heading(name), True, minor, metric=name)
        ends = [Column(f"{mean.key}.{end}", "", True, hidden=True) for end in ("low", "high")]
        columns += [mean, *ends]
    note = (
        f"Evaluation {', '.join(sorted(names))}: mean difference over the same {images} test "
        f"images and masks, with a {bootstrap.LEVEL} % bootstrap interval over the images; what "
        "another seed would change is not in it. ≈: zero is inside."
    )
    title = f"Paired differences on test images from {first.name}"
    return [Table(key, title, [note], columns, [row for _, row in rows])]


def _cells(metric: str, found: dict[str, float]) -> Row:
    low, mean, high = (figures.signed(metric, found[key]) for key in ("low", "mean", "high"))
    around = "≈ " if found["low"] <= 0 <= found["high"] else ""
    cell = Cell(f"{around}{mean} [{low}, {high}]", found["mean"], (found["low"], found["high"]))
    key = f"{DIFFERENCE}.{metric}"
    return {key: cell} | {f"{key}.{end}": Cell("", found[end]) for end in ("low", "high")}


@contextlib.contextmanager
def _noted(left_out: list[str], record: Record) -> Iterator[None]:
    """Go on after what cannot be used, with a line in `left_out`."""
    try:
        yield
    except UserError as error:
        left_out.append(str(error).replace(str(record.run.path), record.label))


def _columns(evaluation: Evaluation) -> Columns:
    """The model's columns of ``per_image.csv`` that this version's metrics are made of."""
    known = registry.columns(tuple(METRICS))
    found = {n.removeprefix("model."): v for n, v in evaluation.per_image("model").items()}
    columns = {name: values for name, values in found.items() if name in known}
    if any(np.isinf(values).any() for values in columns.values()) or not columns:
        file = evaluation.path / "per_image.csv"
        raise UserError(f"{file}: expected columns model.<metric> of finite numbers")
    return columns
