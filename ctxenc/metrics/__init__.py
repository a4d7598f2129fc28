"""Metrics: each is one entry of `ctxenc.metrics.registry.METRICS`.

**To add one**, write a function of (real, composite, mask) that gives one number an image, NaN
where an image has none, and enter it::

    def seam(real, filled, mask):  # images (batch, height, width, 3) on the [0, 1] scale
        ...                        # mask (batch, height, width, 1), 1 where a pixel was missing

    METRICS["seam"] = Metric("seam", "", 3, "lower", {"seam": seam}, when="training")

It is then in the lines and summaries of training (``when="training"``), in ``metrics.json``,
``per_image.csv`` and the table of `ctxenc.evaluate`, in `ctxenc.compare`, and among the choices of
`monitor`. Neither this module nor the registry imports JAX: it is there once a metric is computed.
"""

from collections.abc import Mapping

import numpy as np

from ctxenc.metrics.bootstrap import means
from ctxenc.metrics.registry import Images, Mask, Values, columns, figures, measured_in_training


def per_image(
    real: Images, filled: Images, mask: Mask, names: tuple[str, ...] | None = None
) -> dict[str, Values]:
    """Each image's values for some metrics, by column.

    Args:
        real: images in [-1, 1].
        filled: the composites, in [-1, 1]: the same images outside the hole.
        mask: 1 where a pixel was missing.
        names: of the metrics; None for those that training measures.
    """
    real, filled = (real + 1) / 2, (filled + 1) / 2
    wanted = columns(measured_in_training() if names is None else names)
    return {column: values(real, filled, mask) for column, values in wanted.items()}


def summary(values: Mapping[str, Values]) -> dict[str, float]:
    """The metrics' figures over all images, from the columns of `per_image`.

    An image without a value in a column is left out of that column's mean; where no image has one,
    the figure is left out.
    """
    found = figures({c: means(np.asarray(v)[:, None])[0] for c, v in values.items()})
    return {name: float(figure) for name, figure in found.items() if np.isfinite(figure)}
