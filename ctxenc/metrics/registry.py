"""Every metric, once: how it is computed, what it is called, and which way is better.

All but SWD and what follows are of the hole only, on the [0, 1] scale. L1 and L2 are in per cent,
as in Pathak et al. (2016), table 1. PSNR is averaged over images; the pooled PSNR is that of the
mean squared error over all images, and differs from it by up to several decibels.

Only what computes a metric imports JAX: tables of finished runs do not wait for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
        per_image: By column, functions of (real, composite, mask), the images on the [0, 1] scale,
            to one value an image, NaN where an image has none. Empty for what the other files here
            compute.
        of_means: From the means of those columns, in their order, to the figure; elementwise, for
            the means of many resamples.
        when: ``training`` for what every test during training measures too.
        interval: Whether the table of `ctxenc.evaluate` shows its interval.
        minor: Whether comparisons show it only where every metric is asked for.
    """

    title: str
    unit: str
    decimals: int
    better: Literal["higher", "lower", "nearer 1"]
    per_image: Mapping[str, PerImage]
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
    """Structural similarity (Wang et al., 2004) of the whole images, averaged over the hole.

    As scikit-image's `structural_similarity` with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`.
    """
    import dm_pix
    import jax.numpy as jnp

    rows, columns = [_blur_matrix(size) for size in real.shape[1:3]]

    def blur(images: Images) -> Images:
        return jnp.einsum("yh,bhwc,xw->byxc", rows, images, columns, precision="highest")

    return _mean_over_hole(dm_pix.ssim(real, filled, filter_fn=blur, return_map=True), mask)


def _blur_matrix(size: int) -> Float[np.ndarray, "size size"]:
    """A Gaussian window of 11 pixels along one axis, its mirrored border folded in.

    A matrix product is many times faster than XLA's convolutions on CPU.
    """
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    mirrored = np.pad(np.eye(size), [(5, 5), (0, 0)], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, len(window), axis=0)
    return (windows @ (window / window.sum())).astype(np.float32)


def gradient(real: Images, filled: Images, mask: Mask) -> Values:
    """Mean gradient magnitude of the fill, per pixel, by forward differences.

    Of pixels that are missing with their right and lower neighbours, so the step at the hole's
    border is not in it. NaN where there are none: in a hole one pixel wide, or thin strokes.
    """
    import jax.numpy as jnp

    down = (filled[:, 1:] - filled[:, :-1])[:, :, :-1]
    right = (filled[:, :, 1:] - filled[:, :, :-1])[:, :-1]
    inside = (mask[:, :-1, :-1] > 0) & (mask[:, 1:, :-1] > 0) & (mask[:, :-1, 1:] > 0)
    magnitude = jnp.sqrt(jnp.square(down) + jnp.square(right))
    return _mean_over_hole(magnitude, inside.astype(magnitude.dtype))


def real_gradient(real: Images, filled: Images, mask: Mask) -> Values:
    """`gradient` of the real image."""
    return gradient(filled, real, mask)


def _mean_over_hole(values: Images, mask: Mask) -> Values:
    return (values * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * values.shape[-1])


def _percent(mean: Any) -> Any:
    return 100 * mean


def _decibels(error: Any) -> Any:
    return -10 * np.log10(np.maximum(error, 1e-30))


LABEL_ACCURACY = "label_accuracy"
"""Of a label head, on validation images; no fill has one."""

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
        np.divide,
        when="training",
    ),
    "swd": Metric("SWD", "", 1, "lower", {}),
    "fid": Metric("FID", "", 2, "lower", {}),
    "kid": Metric("KID × 1000", "", 2, "lower", {}),
    "lpips": Metric("LPIPS", "", 4, "lower", {}, interval=True),
    LABEL_ACCURACY: Metric("label accuracy", "", 3, "higher", {}),  # a share of the images
    # Of the encoder's features, and not of fills: `ctxenc.probe` measures them.
    "probe.linear": Metric("linear probe", "%", 1, "higher", {}),
    "probe.knn": Metric("k-NN", "%", 1, "higher", {}),
    "probe.finetune_100": Metric("fine-tuned", "%", 1, "higher", {}),
    "probe.finetune_10": Metric("fine-tuned, 10 % labels", "%", 1, "higher", {}),
    "probe.finetune_1": Metric("fine-tuned, 1 % labels", "%", 1, "higher", {}),
}
"""By the name that files, options and columns have."""

MAIN = "psnr_db"
"""What decides on the best step, run and method where nothing else is asked for."""


def measured_in_training() -> tuple[str, ...]:
    """The names of the metrics that every test during training measures."""
    names = [name for name, metric in METRICS.items() if metric.when == "training"]
    return tuple(names)


def columns(names: tuple[str, ...]) -> dict[str, PerImage]:
    """The per-image columns that some metrics need, each once."""
    return {c: f for name in names for c, f in METRICS[name].per_image.items()}


def per_image(
    real: Images, filled: Images, mask: Mask, names: tuple[str, ...]
) -> dict[str, Values]:
    """Each image's values for some metrics, by column; images and composites are in [-1, 1]."""
    real, filled = (real + 1) / 2, (filled + 1) / 2
    return {column: values(real, filled, mask) for column, values in columns(names).items()}


def figures(means: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics' figures from the means of their columns; those without columns are left out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            name: metric.of_means(*[means[column] for column in metric.per_image])
            for name, metric in METRICS.items()
            if metric.per_image and metric.per_image.keys() <= means.keys()
        }
