"""Two runs image by image: how much better one fills the very same holes than the other."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ctxenc.comparison import figures
from ctxenc.comparison.records import Record
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics import bootstrap, registry
from ctxenc.metrics.bootstrap import Columns
from ctxenc.metrics.registry import METRICS


@dataclass(frozen=True)
class Difference:
    """One run's figure minus another's over the same images, and its bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Pair:
    """One run minus another on the same images and masks; `differences` by metric.

    `tested_on` is the hash of the masks and the fingerprint of the images.
    """

    tested_on: tuple[str, str]
    evaluation: str
    run: str
    baseline: str
    images: int
    differences: dict[str, Difference]


class _Side(NamedTuple):
    """One of the two evaluations of a pair."""

    name: str
    record: Record
    evaluation: Evaluation
    tested_on: tuple[str, str]


def pairs(
    records: Sequence[Record], baselines: Sequence[Record] = ()
) -> tuple[list[Pair], list[str]]:
    """Every run's evaluation against that of the baseline with the same masks and images.

    Args:
        records: the runs; the first stands in where no baseline has such an evaluation.
        baselines: the runs that the others are compared with, among `records` or not.

    Returns:
        (the pairs, best first within an evaluation; what could not be used, and why).
    """
    sides: dict[tuple[str, str], dict[Any, _Side]] = {}
    left_out: list[str] = []
    for record in dict.fromkeys([*baselines, *records]):
        for evaluation in Evaluation.all_of(record.run):
            with _noted(left_out, record):
                checkpoint, side = _side(record, evaluation)
                # The same checkpoint on the same images twice is the same.
                sides.setdefault(side.tested_on, {}).setdefault((record, checkpoint), side)
    found = []
    for same in sides.values():
        if len(same) > 1:
            found += _differences(same.values(), left_out)
    return found, left_out


def _differences(sides: Iterable[_Side], left_out: list[str]) -> list[Pair]:
    """All but the first against the first: a baseline, since they come first, or its stand-in."""
    fitting: list[_Side] = []
    values: list[Columns] = []
    images = 0
    for side in sides:
        with _noted(left_out, side.record):
            columns = _columns(side.evaluation)
            count = len(next(iter(columns.values())))
            if fitting and count != images:
                left_out.append(
                    f"{side.name}: evaluation {side.evaluation.name} has {count} images "
                    f"and that of {fitting[0].name} {images}"
                )
                continue
            images = count
            fitting.append(side)
            values.append(columns)
    if len(fitting) < 2:
        return []
    baseline, *others = bootstrap.resampled_figures(values)
    found = []
    for side, own in zip(fitting[1:], others, strict=True):
        differences = {}
        for metric in own.keys() & baseline.keys():
            difference = own[metric] - baseline[metric]
            if np.isfinite(difference).all():
                differences[metric] = Difference(**bootstrap.figure(difference))
        names = side.evaluation.name, side.name, fitting[0].name
        if differences:
            found.append(Pair(side.tested_on, *names, images, differences))
    return sorted(
        found, key=lambda p: figures.badness({n: d.mean for n, d in p.differences.items()})
    )


@contextlib.contextmanager
def _noted(left_out: list[str], record: Record) -> Iterator[None]:
    """Go on after a damaged file, with a line in `left_out`."""
    try:
        yield
    except UserError as error:
        left_out.append(str(error).replace(str(record.run.path), record.label))


def _side(record: Record, evaluation: Evaluation) -> tuple[tuple[str, ...], _Side]:
    """(which checkpoint was evaluated, the evaluation)."""
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
    side = _Side(name, record, evaluation, (mask_hash, fingerprint))
    return (which, step, weights), side


def _columns(evaluation: Evaluation) -> Columns:
    """The model's columns of ``per_image.csv`` that this version's metrics are made of."""
    known = registry.columns(tuple(METRICS))
    found = {n.removeprefix("model."): v for n, v in evaluation.per_image("model").items()}
    columns = {name: values for name, values in found.items() if name in known}
    if any(np.isinf(values).any() for values in columns.values()) or not columns:
        file = evaluation.path / "per_image.csv"
        raise UserError(f"{file}: expected columns model.<metric> of finite numbers")
    return columns
