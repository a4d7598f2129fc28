"""Metrics: each is one entry of `ctxenc.metrics.registry.METRICS`.

**To add one**, write a function of (real, composite, mask) that gives one number an image, NaN
where an image has none, and enter it::

    def darker(real, filled, mask):  # images (batch, height, width, 3) on the [0, 1] scale
        ...                        # mask (batch, height, width, 1), 1 where a pixel was missing

    METRICS["darker"] = Metric("darker", "", 3, "lower", {"darker": darker}, when="training")

It is then in the lines and summaries of training (``when="training"``), in ``metrics.json``,
``per_image.csv`` and the table of `ctxenc.evaluate`, in `ctxenc.compare`, and among the choices of
`monitor`.
"""

from ctxenc.metrics.bootstrap import summary
from ctxenc.metrics.registry import measured_in_training, per_image

__all__ = ["measured_in_training", "per_image", "summary"]
