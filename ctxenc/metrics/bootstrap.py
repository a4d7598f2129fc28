"""From every image's values to figures, and how sure these are: bootstrap (Efron, 1979).

A resample draws as many images as there are, with replacement, and the same ones for every column,
so the difference of two columns is a paired one. An interval speaks of the choice of test images
alone, unless it is `over_seeds`: that training again would give other weights is not in it. A value
that an image does not have is NaN, and is left out of its column's means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.metrics.registry import figures

Figure = dict[str, Any]  # mean, and where they are known low, high, images
Columns = dict[str, Float[np.ndarray, " images"]]  # as the metrics' entries name them
Samples = Float[np.ndarray, " samples"]  # of all images, then of every resample
Table = Float[np.ndarray, "images columns"]

RESAMPLES = 2000
LEVEL = 95  # per cent
FEWEST_SEEDS = 3  # for an interval over seeds

_DRAWS_AT_ONCE = 2**22  # bounds the memory: 32 MB of counts


def means(
    values: Table, counts: Float[np.ndarray, "*resamples images"] | None = None
) -> Float[np.ndarray, "*resamples columns"]:
    """The columns' means, each image counted so often (None: once); NaN where none has a value."""
    counts = np.ones(len(values)) if counts is None else counts
    absent = np.isnan(values)
    sums = counts @ np.where(absent, 0, values).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / (counts @ ~absent)


def summary(values: Mapping[str, Any]) -> dict[str, float]:
    """The metrics' figures over all images; those of which no image has a value are left out."""
    found = figures({c: means(np.asarray(v)[:, None])[0] for c, v in values.items()})
    return {name: float(figure) for name, figure in found.items() if np.isfinite(figure)}


def resampled_means(values: Table) -> Float[np.ndarray, "resamples columns"]:
    """The columns' means in each resample of the images; the draws are the same every time."""
    images, rng, parts = len(values), np.random.default_rng(0), []
    at_once = max(1, _DRAWS_AT_ONCE // images)
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        # How often each image is drawn: a matrix product then sums all columns at once.
        drawn = rng.integers(0, images, (count, images))
        drawn += np.arange(count)[:, None] * images
        counts = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        parts.append(means(values, counts.astype(float)))
    return np.concatenate(parts)


def resampled_figures(rows: Sequence[Columns]) -> list[dict[str, Samples]]:
    """Each row's figures; the same images are drawn for all rows, which have as many images."""
    table = np.stack([values for columns in rows for values in columns.values()], axis=1)
    samples = iter(np.vstack([means(table), resampled_means(table)]).T)
    return [figures({column: next(samples) for column in columns}) for columns in rows]


def figure(samples: Samples) -> Figure:
    """The `mean`, a figure of all images, and `low` to `high`, the middle 95 % of its resamples."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(samples[1:], [tail, 100 - tail])
    return {"mean": float(samples[0]), "low": float(low), "high": float(high)}


def t_quantile(freedom: float) -> float:
    """How many standard errors of a mean the interval reaches to both sides."""
    from scipy.special import stdtrit  # slow to import

    return float(stdtrit(freedom, 0.5 + LEVEL / 200))


def over_seeds(samples: Float[np.ndarray, "seeds samples"]) -> Figure:
    """As `figure`, of what several seeds have, on images that all of them were tested on.

    The interval knows both what another seed and what other images would change: the variances of
    the two means add up (to slightly too much, as what they share counts twice), with the degrees
    of freedom of Satterthwaite (1946). Of few seeds a t-interval holds its level where a bootstrap
    over them does not. With fewer than `FEWEST_SEEDS` there is no interval; samples of one column,
    the figure of all images, know of the seeds alone.
    """
    found, seeds = {"mean": float(samples[:, 0].mean())}, len(samples)
    if seeds < FEWEST_SEEDS:
        return found
    of_seeds = samples[:, 0].var(ddof=1) / seeds
    of_images = samples[:, 1:].mean(axis=0).var() if samples.shape[1] > 1 else 0.0
    both = of_seeds + of_images
    freedom = (seeds - 1) * (both / of_seeds) ** 2 if of_seeds else np.inf
    half = t_quantile(freedom) * float(np.sqrt(both))
    return found | {"low": found["mean"] - half, "high": found["mean"] + half}
