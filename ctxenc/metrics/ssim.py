"""Structural similarity (Wang et al., 2004)."""

import dm_pix
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Images = Float[Array, "batch height width 3"]

_WINDOW, _SIGMA = 11, 1.5  # Wang et al.: a Gaussian window of 11 × 11 pixels


def ssim_map(a: Images, b: Images) -> Images:
    """Structural similarity at every pixel and channel, images on the [0, 1] scale.

    The border is mirrored as in scikit-image, whose `structural_similarity` with
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False` gives the same map.
    """
    rows, columns = (jnp.asarray(_blur_matrix(size)) for size in a.shape[1:3])

    def blur(images: Images) -> Images:
        return jnp.einsum("yh,bhwc,xw->byxc", rows, images, columns, precision="highest")

    return dm_pix.ssim(a, b, filter_fn=blur, return_map=True)


def _blur_matrix(size: int) -> Float[np.ndarray, "{size} {size}"]:
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
