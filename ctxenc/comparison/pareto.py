"""The Pareto front: what is not worse than something else in every respect."""

import numpy as np
from jaxtyping import Bool, Float


def front(badness: Float[np.ndarray, "runs metrics"]) -> Bool[np.ndarray, " runs"]:
    """Which have no other that is at least as good in every metric and better in one.

    Lower is better. A run that lacks a metric, with NaN, is neither on the front nor before it.
    """
    known = np.isfinite(badness).all(axis=1)
    on = known.copy()
    for run in np.flatnonzero(known):
        no_worse = (badness <= badness[run]).all(axis=1)
        on[run] = not (no_worse & (badness < badness[run]).any(axis=1)).any()
    return on
