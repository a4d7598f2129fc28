"""Figures by the metric's name, those of metrics that this version does not know among them.

A run folder may be older or newer than the code: what a run lacks is left out, and a metric that
`ctxenc.metrics.registry` does not have is shown under its own name, ranked neither way.
"""

import math
from collections.abc import Iterable, Mapping

from ctxenc.metrics.registry import LABEL_ACCURACY, MAIN, METRICS, measured_in_training

Figures = Mapping[str, float]

OF_VALIDATION = (*measured_in_training(), LABEL_ACCURACY)  # metrics that a validation can have
MOST_UNKNOWN = 100  # metrics of one comparison that this version does not know


def names(found: Iterable[Iterable[str]]) -> list[str]:
    """The metrics that any of the figures has: in the registry's order, then the unknown ones."""
    there = dict.fromkeys(name for figures in found for name in figures)
    unknown = [name for name in there if name not in METRICS]
    return [*(name for name in METRICS if name in there), *unknown[:MOST_UNKNOWN]]


def metric_of(key: str) -> str:
    """The metric of a key such as ``best.psnr_db`` or ``validation.last.psnr_db``."""
    *of, name = key.split(".")
    return name if {"validation", "test", "last", "best"}.issuperset(of) else key


def heading(name: str) -> str:
    """A metric's title and unit."""
    return METRICS[name].heading if name in METRICS else name


def shown(name: str, value: float, decimals: int | None = None) -> str:
    """A figure with its metric's decimals, or others."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return METRICS[name].shown(value) if name in METRICS else f"{value:.4g}"


def signed(name: str, difference: float) -> str:
    """A difference with its sign, a true minus, and no sign before zero."""
    text = shown(name, abs(difference))
    sign = "−" if difference < 0 else "+"
    return text if float(text) == 0 else sign + text


def difference(metric: str, found: Mapping[str, float]) -> str:
    """A mean difference, with its interval and ≈ where zero is inside, if there is one."""
    mean = signed(metric, found["mean"])
    if "low" not in found:
        return mean
    low, high = (signed(metric, found[end]) for end in ("low", "high"))
    return f"{'≈ ' if found['low'] <= 0 <= found['high'] else ''}{mean} [{low}, {high}]"


def duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"


def badness(found: Figures) -> float:
    """A key to sort by: the best PSNR first, those without it last."""
    return METRICS[MAIN].badness(found[MAIN]) if MAIN in found else math.inf
