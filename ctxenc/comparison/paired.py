"""Two runs image by image: how much better one fills the very same holes than the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from ctxenc.comparison import figures
from ctxenc.comparison.records import Record
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics import bootstrap, registry
from ctxenc.metrics.registry import METRICS

T = TypeVar("T")
Columns = dict[str, Float[np.ndarray, " images"]]
Samples = dict[str, Float[np.ndarray, " samples"]]


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


@dataclass(frozen=True, eq=False)
class _Side:
    record: Record
    evaluation: Evaluation
    tested_on: tuple[str, str]
    checkpoint: tuple[str, str, str]

    @property
    def name(self) -> str:
        which, _, weights = self.checkpoint
        averaged = self.record.settings.values.get("ema_decay", "null") != "null"
        words = [] if which in ("", "best") else [which]
        words += ["raw"] if averaged and weights == "raw" else []
        return f"{self.record.label} ({', '.join(words)})" if words else self.record.label


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
    sides: dict[tuple[str, str], dict[tuple[Record, tuple[str, ...]], _Side]] = {}
    left_out: list[str] = []
    for record in dict.fromkeys([*baselines, *records]):
        for evaluation in Evaluation.all_of(record.run):
            side = _usable(left_out, record, _side, record, evaluation)
            if side is not None:
                # The same checkpoint on the same images twice is the same.
                sides.setdefault(side.tested_on, {}).setdefault((record, side.checkpoint), side)
    found = []
    for same in sides.values():
        if len(same) > 1:
            found += _differences(list(same.values()), left_out)
    return found, left_out


def _differences(sides: list[_Side], left_out: list[str]) -> list[Pair]:
    """All but the first against the first: a baseline, since they come first, or its stand-in."""
    read = [(side, _usable(left_out, side.record, _columns, side.evaluation)) for side in sides]
    whole = [(side, columns) for side, columns in read if columns]
    if len(whole) < 2:
        return []
    first, subtracted = whole[0]
    images, fitting = len(next(iter(subtracted.values()))), whole[:1]
    for side, columns in whole[1:]:
        if (count := len(next(iter(columns.values())))) == images:
            fitting.append((side, columns))
        else:
            left_out.append(
                f"{side.name}: evaluation {side.evaluation.name} has {count} images "
                f"and that of {first.name} {images}"
            )
    baseline, *others = _figures([columns for _, columns in fitting])
    found = []
    for (side, _), own in zip(fitting[1:], others, strict=True):
        differences = {}
        for metric in own.keys() & baseline.keys():
            mean, *resampled = own[metric] - baseline[metric]
            if np.isfinite([mean, *resampled]).all():
                low, high = bootstrap.percentiles(np.asarray(resampled))
                differences[metric] = Difference(float(mean), low, high)
        names = side.evaluation.name, side.name, first.name
        if differences:
            found.append(Pair(side.tested_on, *names, images, differences))
    return sorted(
        found, key=lambda p: figures.badness({n: d.mean for n, d in p.differences.items()})
    )


def _figures(sides: Sequence[Columns]) -> list[Samples]:
    """Each side's figures of all images, then of every resample, the same ones for all sides."""
    values = np.stack([column for side in sides for column in side.values()], axis=1)
    means = np.vstack([bootstrap.means(values), bootstrap.resampled_means(values)])
    columns = iter(means.T)
    return [registry.figures({name: next(columns) for name in side}) for side in sides]


def _usable(left_out: list[str], record: Record, read: Callable[..., T], *given: Any) -> T | None:
    """What `read` gives; where a file is damaged None, and a line in `left_out`."""
    try:
        return read(*given)
    except UserError as error:
        left_out.append(str(error).replace(str(record.run.path), record.label))
        return None


def _side(record: Record, evaluation: Evaluation) -> _Side:
    metrics = evaluation.metrics
    dataset = metrics.get("dataset")
    fingerprint = dataset.get("test_fingerprint") if isinstance(dataset, dict) else None
    mask_hash = metrics.get("mask_hash")
    if not (isinstance(mask_hash, str) and isinstance(fingerprint, str)):
        file = evaluation.path / "metrics.json"
        raise UserError(f"{file}: mask_hash and dataset.test_fingerprint are not both there")
    return _Side(record, evaluation, (mask_hash, fingerprint), _checkpoint(metrics))


def _columns(evaluation: Evaluation) -> Columns:
    """The model's columns of ``per_image.csv`` that this version's metrics are made of."""
    known = registry.columns(tuple(METRICS))
    found = {n.removeprefix("model."): v for n, v in evaluation.per_image("model").items()}
    columns = {name: values for name, values in found.items() if name in known}
    if any(np.isinf(values).any() for values in columns.values()) or not columns:
        file = evaluation.path / "per_image.csv"
        raise UserError(f"{file}: expected columns model.<metric> of finite numbers")
    return columns


def _checkpoint(metrics: dict[str, Any]) -> tuple[str, str, str]:
    """(best, latest or a step as it was asked for, the step that this was, which weights)."""
    found = metrics.get("checkpoint")
    found = found if isinstance(found, dict) else {}
    which, step, weights = (str(found.get(key, ""))[:20] for key in ("which", "step", "weights"))
    return which, step, weights or "raw"  # the only ones, before there were others
