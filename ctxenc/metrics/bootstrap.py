"""How sure a mean over test images is: bootstrap percentile intervals (Efron, 1979).

A resample draws as many images as there are, with replacement. Every column of a table is resampled
with the same draws, so the difference of two columns is a paired one.

A value that an image does not have is not a number, and is left out of its column's means.

An interval speaks of the choice of test images alone. That another training run of the same
configuration would give other weights is not in it.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

Figure = dict[str, Any]  # mean, and where they are known low, high, images

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


def percentiles(samples: Float[np.ndarray, " resamples"]) -> tuple[float, float]:
    """(low, high): the middle 95 % of a statistic's values over the resamples."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def figure(value: float, samples: Float[np.ndarray, " resamples"]) -> Figure:
    """A statistic with its interval: `mean`, `low` and `high`."""
    low, high = percentiles(samples)
    return {"mean": float(value), "low": low, "high": high}
