"""The metric contract: errors on the missing pixels only, on the [0, 1] scale, per image.

L1 and L2 are means over the hole's pixels and channels, in per cent as in Pathak et al. (2016),
table 1. PSNR is averaged over images; the pooled PSNR is that of the mean squared error over all
images, and is named so, since the two differ by up to several decibels. SSIM is the map of Wang
et al. (2004) between the real image and the composite (real outside the hole, filled inside),
averaged over the hole.
"""

import dm_pix
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

NAMES = ("l1_percent", "l2_percent", "psnr_db", "psnr_pooled_db", "ssim")
PerImage = dict[str, Float[Array, " batch"]]

_WINDOW, _SIGMA = 11, 1.5  # Wang et al.: a Gaussian window of 11 × 11 pixels
_MAX_PSNR = 100.0  # a perfect fill counts as 100 dB, so that a mean stays finite


def per_image(
    real: Float[Array, "batch height width 3"],
    filled: Float[Array, "batch height width 3"],
    mask: Float[Array, "batch height width 1"],
) -> PerImage:
    """Each image's `l1`, `l2`, `psnr` (dB) and `ssim` on its missing pixels.

    `real` and `filled` are on the [-1, 1] scale; `filled` is the composite.
    """
    real, filled = (real + 1) / 2, (filled + 1) / 2
    difference = real - filled
    l2 = _over_hole(jnp.square(difference), mask)
    return {
        "l1": _over_hole(jnp.abs(difference), mask),
        "l2": l2,
        "psnr": psnr(l2),
        "ssim": _over_hole(ssim_map(real, filled), mask),
    }


def psnr(l2: Array) -> Array:
    """Peak signal-to-noise ratio in dB of a mean squared error on the [0, 1] scale."""
    return jnp.minimum(-10 * jnp.log10(jnp.maximum(l2, 1e-30)), _MAX_PSNR)


def ssim_map(
    a: Float[Array, "batch height width 3"], b: Float[Array, "batch height width 3"]
) -> Float[Array, "batch height width 3"]:
    """Structural similarity at every pixel and channel, images on the [0, 1] scale.

    The border is mirrored as in scikit-image, whose `structural_similarity` with
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False` gives the same map.
    """
    rows, columns = (jnp.asarray(_blur_matrix(size)) for size in a.shape[1:3])

    def blur(images: Array) -> Array:
        return jnp.einsum("yh,bhwc,xw->byxc", rows, images, columns, precision="highest")

    return dm_pix.ssim(a, b, filter_fn=blur, return_map=True)


def _blur_matrix(size: int) -> Float[np.ndarray, "size size"]:
    """The Gaussian window along one axis as a matrix, its mirrored border folded in.

    A matrix product is many times faster than XLA's convolutions on CPU.
    """
    reach = _WINDOW // 2
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SIGMA) ** 2)
    padded = np.pad(np.arange(size), reach, mode="symmetric")
    matrix = np.zeros((size, size))
    for row in range(size):
        np.add.at(matrix[row], padded[row : row + _WINDOW], window / window.sum())
    return matrix.astype(np.float32)


def summary(values: dict[str, np.ndarray]) -> dict[str, float]:
    """The contract's five figures from every test image's values (see `NAMES`)."""
    means = {name: float(np.mean(v, dtype=np.float64)) for name, v in values.items()}
    return {
        "l1_percent": 100 * means["l1"],
        "l2_percent": 100 * means["l2"],
        "psnr_db": means["psnr"],
        "psnr_pooled_db": float(-10 * np.log10(max(means["l2"], 1e-30))),
        "ssim": means["ssim"],
    }


def context_mean(
    real: Float[Array, "batch height width 3"], mask: Float[Array, "batch height width 1"]
) -> Float[Array, "batch height width 3"]:
    """The composite whose hole has the mean colour of its own image's visible pixels."""
    visible = 1 - mask
    mean = (real * visible).sum((1, 2), keepdims=True) / visible.sum((1, 2), keepdims=True)
    return jnp.where(mask > 0, mean, real)


def _over_hole(
    values: Float[Array, "batch height width 3"], mask: Float[Array, "batch height width 1"]
) -> Float[Array, " batch"]:
    count = mask.sum((1, 2, 3)) * values.shape[-1]
    return (values * mask).sum((1, 2, 3)) / count
