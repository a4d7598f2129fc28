"""Two runs image by image: how much better one fills the very same holes than the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from ctxenc.comparison.records import Record
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics import bootstrap

SCALES = {"psnr": 1.0, "ssim": 1.0, "l1": 100.0, "l2": 100.0}  # dB, none, per cent, per cent
T = TypeVar("T")
NAMES = {"psnr": "psnr_db", "ssim": "ssim", "l1": "l1_percent", "l2": "l2_percent"}


@dataclass(frozen=True)
class Difference:
    """The mean of one metric's differences over images, and its 95 % bootstrap interval."""

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
        told = [] if which in ("", "best") else [which]
        told += ["raw"] if averaged and weights == "raw" else []
        return f"{self.record.label} ({', '.join(told)})" if told else self.record.label


def pairs(
    records: Sequence[Record], baselines: Sequence[Record] = ()
) -> tuple[list[Pair], list[str]]:
    """Every run's evaluation against that of the baseline with the same masks and images.

    Args:
        records: the runs; the first stands in where no baseline has such an evaluation.
        baselines: the runs that the others are compared with, among `records` or not.

    Returns:
        (the pairs, best PSNR first within an evaluation; what could not be used, and why).
    """
    sides: dict[tuple[str, str], dict[tuple[Record, tuple[str, ...]], _Side]] = {}
    told: list[str] = []
    for record in dict.fromkeys([*baselines, *records]):
        for evaluation in Evaluation.all_of(record.run):
            if (side := _told(told, record, _side, record, evaluation)) is not None:
                # The same checkpoint on the same images twice is the same.
                sides.setdefault(side.tested_on, {}).setdefault((record, side.checkpoint), side)
    found = []
    for same in sides.values():
        if len(same) > 1:
            found += _differences(list(same.values()), told)
    return found, told


def _differences(sides: list[_Side], told: list[str]) -> list[Pair]:
    """All but the first against the first: a baseline, since they come first, or its stand-in."""
    read = [(side, _told(told, side.record, _images, side.evaluation)) for side in sides]
    whole = [(side, values) for side, values in read if values is not None]
    if len(whole) < 2:
        return []
    first, subtracted = whole[0]
    fitting = []
    for side, values in whole[1:]:
        if len(values) == len(subtracted):
            fitting.append((side, values))
        else:
            told.append(
                f"{side.name}: evaluation {side.evaluation.name} has {len(values)} images "
                f"and that of {first.name} {len(subtracted)}"
            )
    if not fitting:
        return []
    # All pairs are resampled together: the same images are drawn for each.
    columns = np.concatenate([values - subtracted for _, values in fitting], axis=1)
    means = columns.mean(axis=0)
    samples = bootstrap.resampled_means(columns)
    found = []
    for i, (side, _) in enumerate(fitting):
        differences = {}
        for j, (metric, scale) in enumerate(SCALES.items()):
            column = i * len(SCALES) + j
            low, high = bootstrap.percentiles(samples[:, column] * scale)
            differences[NAMES[metric]] = Difference(float(means[column]) * scale, low, high)
        names = side.evaluation.name, side.name, first.name
        found.append(Pair(side.tested_on, *names, len(subtracted), differences))
    return sorted(found, key=lambda pair: pair.differences["psnr_db"].mean, reverse=True)


def _told(told: list[str], record: Record, read: Callable[..., T], *arguments: Any) -> T | None:
    """What `read` gives; where the file is damaged None, and a line in `told`."""
    try:
        return read(*arguments)
    except UserError as error:
        told.append(str(error).replace(str(record.run.path), record.label))
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


def _images(evaluation: Evaluation) -> Float[np.ndarray, "images metrics"]:
    file, values = evaluation.path / "per_image.csv", evaluation.per_image("model")
    if absent := [f"model.{m}" for m in SCALES if f"model.{m}" not in values]:
        raise UserError(f"{file}: it has no column {absent[0]}")
    images = np.stack([values[f"model.{m}"] for m in SCALES], axis=1)
    if not len(images) or not np.isfinite(images).all():
        raise UserError(f"{file}: the model's columns take a finite number for every image")
    return images


def _checkpoint(metrics: dict[str, Any]) -> tuple[str, str, str]:
    """(best, latest or a step as it was asked for, the step that this was, which weights)."""
    found = metrics.get("checkpoint")
    found = found if isinstance(found, dict) else {}
    which, step, weights = (str(found.get(key, ""))[:20] for key in ("which", "step", "weights"))
    return which, step, weights or "raw"  # the only ones, before there were others
