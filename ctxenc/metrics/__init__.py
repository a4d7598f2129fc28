"""Metrics."""

from typing import Any

import numpy as np

from ctxenc.metrics import registry


def per_image(real: Any, filled: Any, mask: Any, names: tuple[str, ...] | None = None) -> Any:
    """Columns."""
    real, filled = (real + 1) / 2, (filled + 1) / 2
    wanted = registry.columns(registry.trained_on() if names is None else names)
    return {column: function(real, filled, mask) for column, function in wanted.items()}


def summary(columns: Any) -> dict[str, float]:
    """Figures."""
    means = {name: np.nanmean(v, dtype=np.float64) for name, v in columns.items()}
    return {name: float(value) for name, value in registry.figures(means).items()}
