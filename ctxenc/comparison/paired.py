"""Two runs image by image: how much better one fills the very same holes than the other."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ctxenc.comparison import figures
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison
from ctxenc.comparison.tables import Cell, Column, Row, Table
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics import bootstrap, registry
from ctxenc.metrics.bootstrap import Columns
from ctxenc.metrics.registry import METRICS


class _Side(NamedTuple):
    """One of the evaluations that are compared."""

    name: str  # of the run, with the checkpoint where that is not the usual one
    record: Record
    evaluation: Evaluation


def tables(comparison: Comparison, *, everything: bool = False) -> tuple[list[Table], list[str]]:
    """Every run's evaluation minus that of a baseline with the same masks and images.

    The first run stands in where no section's baseline has such an evaluation. Minor metrics are
    shown with `everything`.

    Returns:
        (a table for each set of masks and images, best first; what could not be used, and why).
    """
    baselines = (section.baseline for section in comparison.sections if section.baseline)
    sides: dict[tuple[str, str], dict[Any, _Side]] = {}
    left_out: list[str] = []
    for record in dict.fromkeys([*baselines, *comparison.ranked]):
        for evaluation in Evaluation.all_of(record.run):
            with _noted(left_out, record):
                tested_on, checkpoint, name = _read(record, evaluation)
                same = sides.setdefault(tested_on, {})
                # The same checkpoint on the same images twice is the same.
                same.setdefault((record, checkpoint), _Side(name, record, evaluation))
    found: list[Table] = []
    for same in sides.values():
        if len(same) > 1:
            whole = _whole(same.values(), left_out)
            found += _table(f"paired-{len(found)}", whole, everything)
    return found, left_out


def _whole(sides: Iterable[_Side], left_out: list[str]) -> list[tuple[_Side, Columns]]:
    """Those that can be read and have as many images as the first, with each image's values."""
    whole: list[tuple[_Side, Columns]] = []
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


def _table(key: str, whole: list[tuple[_Side, Columns]], everything: bool) -> list[Table]:
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
        columns.append(Column(name, figures.heading(name), True, minor, metric=name))
        columns += [Column(f"{name}.{end}", "", True, hidden=True) for end in ("low", "high")]
    note = (
        f"Evaluation {', '.join(sorted(names))}: mean difference over the same {images} test "
        f"images and masks, with a {bootstrap.LEVEL} % bootstrap interval over the images; what "
        "another seed would change is not in it. ≈: zero is inside."
    )
    title = f"Paired differences from {first.name}"
    return [Table(key, title, [note], columns, [row for _, row in rows])]


def _cells(metric: str, found: dict[str, float]) -> Row:
    low, mean, high = (figures.signed(metric, found[key]) for key in ("low", "mean", "high"))
    around = "≈ " if found["low"] <= 0 <= found["high"] else ""
    cell = Cell(f"{around}{mean} [{low}, {high}]", found["mean"], (found["low"], found["high"]))
    return {metric: cell} | {f"{metric}.{end}": Cell("", found[end]) for end in ("low", "high")}


@contextlib.contextmanager
def _noted(left_out: list[str], record: Record) -> Iterator[None]:
    """Go on after what cannot be used, with a line in `left_out`."""
    try:
        yield
    except UserError as error:
        left_out.append(str(error).replace(str(record.run.path), record.label))


def _read(
    record: Record, evaluation: Evaluation
) -> tuple[tuple[str, str], tuple[str, str, str], str]:
    """(hash of the masks and fingerprint of the images, checkpoint, name of this side)."""
    metrics = evaluation.metrics
    dataset, saved = (
        value if isinstance(value := metrics.get(key), dict) else {}
        for key in ("dataset", "checkpoint")
    )
    mask_hash, fingerprint = metrics.get("mask_hash"), dataset.get("test_fingerprint")
    if not (isinstance(mask_hash, str) and isinstance(fingerprint, str)):
        file = evaluation.path / "metrics.json"
        raise UserError(f"{file}: mask_hash and dataset.test_fingerprint are not both there")
    which, step, weights = (str(saved.get(key, ""))[:20] for key in ("which", "step", "weights"))
    weights = weights or "raw"  # the only ones, before there were others
    averaged = record.settings.values.get("ema_decay", "null") != "null"
    words = [] if which in ("", "best") else [which]
    words += ["raw"] if averaged and weights == "raw" else []
    name = f"{record.label} ({', '.join(words)})" if words else record.label
    return (mask_hash, fingerprint), (which, step, weights), name


def _columns(evaluation: Evaluation) -> Columns:
    """The model's columns of ``per_image.csv`` that this version's metrics are made of."""
    known = registry.columns(tuple(METRICS))
    found = {n.removeprefix("model."): v for n, v in evaluation.per_image("model").items()}
    columns = {name: values for name, values in found.items() if name in known}
    if any(np.isinf(values).any() for values in columns.values()) or not columns:
        file = evaluation.path / "per_image.csv"
        raise UserError(f"{file}: expected columns model.<metric> of finite numbers")
    return columns
