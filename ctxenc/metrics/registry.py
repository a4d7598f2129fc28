"""Every metric, once: how it is computed, what it is called, and which way is better.

Training, `ctxenc.evaluate`, `ctxenc.compare`, the page, the help and the choices of `monitor` all
follow from `METRICS`: a new metric is one entry here. Importing this module does not import JAX,
so tables of finished runs do not wait for it.

All metrics are of the hole only, on the [0, 1] scale, but for the last four, which see whole
images. L1 and L2 are in per cent, as in Pathak et al. (2016), table 1. PSNR is averaged
over images; the pooled PSNR is that of the mean squared error over all images, and is named so,
since the two differ by up to several decibels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Images = Float[Any, "batch height width 3"]  # of JAX, whose own type would import it
Mask = Float[Any, "batch height width 1"]
Values = Float[Any, " batch"]
PerImage = Callable[[Images, Images, Mask], Values]

HIGHEST_PSNR = 100.0  # dB: a perfect fill counts as this, so that a mean stays finite


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        title: Its name in tables.
        unit: Its unit, or nothing.
        decimals: How many are shown.
        better: Whether ``higher`` or ``lower`` values are better, or those ``nearer 1``.
        per_image: Columns of values, one value an image: functions of (real, composite, mask), the
            images on the [0, 1] scale. A value that an image does not have is NaN. Empty for a
            metric of a whole set of images (`ctxenc.metrics.sliced_wasserstein` and others).
        of_means: From the means of those columns, in their order, to the figure; also elementwise,
            for the means of many resamples.
        when: ``training`` for what every validation measures, else ``evaluation``.
        interval: Whether the table of `ctxenc.evaluate` has its interval too.
        minor: Whether comparisons show it only where every metric is asked for.
    """

    title: str
    unit: str
    decimals: int
    better: Literal["higher", "lower", "nearer 1"]
    per_image: Mapping[str, PerImage] = field(default_factory=lambda: MappingProxyType({}))
    of_means: Callable[..., Any] = lambda mean: mean
    when: Literal["training", "evaluation"] = "evaluation"
    interval: bool = False
    minor: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} {self.unit}".strip()

    def badness(self, value: float) -> float:
        """Lower for better values: a key to sort by."""
        return {"higher": -value, "lower": value, "nearer 1": abs(value - 1)}[self.better]

    def shown(self, value: float) -> str:
        """The value with its decimals."""
        return f"{value:.{self.decimals}f}"


def l1(real: Images, filled: Images, mask: Mask) -> Values:
    """Mean absolute error."""
    return _mean_over_hole(abs(real - filled), mask)


def l2(real: Images, filled: Images, mask: Mask) -> Values:
    """Mean squared error."""
    return _mean_over_hole((real - filled) ** 2, mask)


def psnr(real: Images, filled: Images, mask: Mask) -> Values:
    """Peak signal-to-noise ratio in dB, at most `HIGHEST_PSNR`."""
    import jax.numpy as jnp

    error = jnp.maximum(l2(real, filled, mask), 1e-30)
    return jnp.minimum(-10 * jnp.log10(error), HIGHEST_PSNR)


def ssim(real: Images, filled: Images, mask: Mask) -> Values:
    """Structural similarity (Wang et al., 2004): the map of the whole image, over the hole."""
    from ctxenc.metrics.ssim import ssim_map

    return _mean_over_hole(ssim_map(real, filled), mask)


def gradient(real: Images, filled: Images, mask: Mask) -> Values:
    """Mean gradient magnitude of the fill; NaN where the hole is too thin for any."""
    from ctxenc.metrics.sharpness import gradient_magnitude

    return gradient_magnitude(filled, mask)


def real_gradient(real: Images, filled: Images, mask: Mask) -> Values:
    """The same of what was there."""
    from ctxenc.metrics.sharpness import gradient_magnitude

    return gradient_magnitude(real, mask)


def _mean_over_hole(values: Images, mask: Mask) -> Values:
    return (values * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * values.shape[-1])


def _percent(mean: Any) -> Any:
    return 100 * mean


def _decibels(error: Any) -> Any:
    return -10 * np.log10(np.maximum(error, 1e-30))


def _ratio(a: Any, b: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.divide(a, b)


METRICS: dict[str, Metric] = {
    "psnr_db": Metric("PSNR", "dB", 2, "higher", {"psnr": psnr}, when="training", interval=True),
    "ssim": Metric("SSIM", "", 3, "higher", {"ssim": ssim}, when="training"),
    "l1_percent": Metric("L1", "%", 2, "lower", {"l1": l1}, _percent, when="training"),
    # Two more of the squared error, which PSNR is of already.
    "l2_percent": Metric("L2", "%", 2, "lower", {"l2": l2}, _percent, when="training", minor=True),
    "psnr_pooled_db": Metric(
        "pooled PSNR", "dB", 2, "higher", {"l2": l2}, _decibels, when="training", minor=True
    ),
    "sharpness": Metric(
        "sharpness",
        "",
        2,
        "nearer 1",
        {"gradient": gradient, "real_gradient": real_gradient},
        _ratio,
    ),
    "swd": Metric("SWD", "", 1, "lower"),
    "fid": Metric("FID", "", 2, "lower"),
    "kid": Metric("KID × 1000", "", 2, "lower"),
    "lpips": Metric("LPIPS", "", 4, "lower", interval=True),
}
"""By the name that files, options and columns have."""


def measured_in_training() -> tuple[str, ...]:
    """The names of the metrics that every validation during training measures."""
    return tuple(name for name, metric in METRICS.items() if metric.when == "training")


def columns(names: tuple[str, ...]) -> dict[str, PerImage]:
    """The per-image columns that some metrics need, each once."""
    return {c: f for name in names for c, f in METRICS[name].per_image.items()}


def figures(means: Mapping[str, Any], names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The metrics' figures from the means of their columns; those without columns are left out."""
    found = {}
    for name in METRICS if names is None else names:
        needed = METRICS[name].per_image
        if needed and needed.keys() <= means.keys():
            found[name] = METRICS[name].of_means(*(means[column] for column in needed))
    return found
