"""How sure a mean over test images is: bootstrap percentile intervals (Efron, 1979).

A resample draws as many images as there are, with replacement. Every column of a table is resampled
with the same draws, so the difference of two columns is a paired one.

An interval speaks of the choice of test images alone. That another training run of the same
configuration would give other weights is not in it.
"""

import numpy as np
from jaxtyping import Float

RESAMPLES = 2000
LEVEL = 95  # per cent

_DRAWS_AT_ONCE = 2**22  # bounds the memory: 32 MB of counts


def resampled_means(
    values: Float[np.ndarray, "images columns"], *, resamples: int = RESAMPLES, seed: int = 0
) -> Float[np.ndarray, "resamples columns"]:
    """The columns' means in each resample of the images."""
    images, columns = values.shape
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, columns))
    at_once = max(1, _DRAWS_AT_ONCE // images)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        # How often each image is drawn: a matrix product then sums all columns at once.
        drawn = rng.integers(0, images, (count, images))
        drawn += np.arange(count)[:, None] * images
        counts = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        means[start : start + count] = counts.astype(float) @ values / images
    return means


def percentiles(samples: Float[np.ndarray, " resamples"]) -> tuple[float, float]:
    """(low, high): the middle 95 % of a statistic's values over the resamples."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)
