"""How sure a mean over test images is: bootstrap percentile intervals (Efron, 1979).

A resample draws as many images as there are, with replacement. Every column of a table is resampled
with the same draws, so the difference of two columns is a paired one.

A value that an image does not have is not a number, and is left out of its column's means.

An interval speaks of the choice of test images alone. That another training run of the same
configuration would give other weights is not in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.metrics.registry import figures

Figure = dict[str, Any]  # mean, and where they are known low, high, images
Columns = Mapping[str, Float[np.ndarray, " images"]]  # as the metrics' entries name them
Samples = Float[np.ndarray, " samples"]

RESAMPLES = 2000
LEVEL = 95  # per cent

_DRAWS_AT_ONCE = 2**22  # bounds the memory: 32 MB of counts

Table = Float[np.ndarray, "images columns"]


def means(values: Table) -> Float[np.ndarray, " columns"]:
    """The columns' means; NaN where no image has a value."""
    return _weighted(np.ones((1, len(values))), values)[0]


def resampled_means(
    values: Table, *, resamples: int = RESAMPLES, seed: int = 0
) -> Float[np.ndarray, "resamples columns"]:
    """The columns' means in each resample of the images."""
    images = len(values)
    rng = np.random.default_rng(seed)
    parts = []
    at_once = max(1, _DRAWS_AT_ONCE // images)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        # How often each image is drawn: a matrix product then sums all columns at once.
        drawn = rng.integers(0, images, (count, images))
        drawn += np.arange(count)[:, None] * images
        counts = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        parts.append(_weighted(counts.astype(float), values))
    return np.concatenate(parts)


def _weighted(
    counts: Float[np.ndarray, "resamples images"], values: Table
) -> Float[np.ndarray, "resamples columns"]:
    absent = np.isnan(values)
    sums = counts @ np.where(absent, 0, values).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / (counts @ ~absent)


def percentiles(samples: Samples) -> tuple[float, float]:
    """(low, high): the middle 95 % of a statistic's values over the resamples."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def resampled_figures(rows: Sequence[Columns], *, seed: int = 0) -> list[dict[str, Samples]]:
    """Each row's figures: of all images first, then of every resample.

    All rows, which have as many images, are resampled together: the same images are drawn for each.
    """
    table = np.stack([values for columns in rows for values in columns.values()], axis=1)
    samples = iter(np.vstack([means(table), resampled_means(table, seed=seed)]).T)
    return [figures({column: next(samples) for column in columns}) for columns in rows]


def figure(samples: Samples) -> Figure:
    """The `mean`, a figure of all images, with the `low` and `high` end of its interval."""
    low, high = percentiles(samples[1:])
    return {"mean": float(samples[0]), "low": low, "high": high}
