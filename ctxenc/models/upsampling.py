"""The decoder's step from one size of map to the next: two ways to double it."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jaxtyping import Array, Float

from ctxenc.models.layers import GAUSSIAN, ConvTranspose
from ctxenc.ops.convolution import Padding, conv_transpose


def up(
    upsample: str,
    features: int,
    *,
    window: tuple[int, int] = (4, 4),
    padding: Padding = "SAME",
    use_bias: bool = True,
    dtype: Any = jnp.float32,
) -> nn.Module:
    """The layer that doubles a map.

    Args:
        upsample: "deconv" for an up-convolution with stride 2, "resize_conv" for `ResizeConv`.
        features: Channels of the output.
        window: Height and width of the up-convolution's kernel.
        padding: The up-convolution's, as `ctxenc.ops.convolution.conv_transpose` takes it.
        use_bias: Whether a bias is added.
        dtype: Of the computation; the parameters are float32.
    """
    if upsample == "resize_conv":
        return ResizeConv(features, use_bias=use_bias, dtype=dtype)
    return ConvTranspose(features, window, padding=padding, use_bias=use_bias, dtype=dtype)


class ResizeConv(nn.Module):
    """Each pixel repeated 2×2, then a 3×3 convolution: every output pixel sees alike.

    A 4×4 up-convolution has other weights for each of the four output pixels of an input pixel,
    and where they differ in the sum a checkerboard shows (Odena et al., "Deconvolution and
    Checkerboard Artifacts", 2016, whose best results are with nearest neighbours).

    It is computed as what it equals: the 4×4 up-convolution whose kernel is the 3×3 kernel
    convolved with a 2×2 block of ones. That costs as much as an up-convolution, where the 3×3
    convolution over the enlarged maps costs 9/4 as much.

    Attributes:
        features: Channels of the output.
        use_bias: Whether a bias is added.
        kernel_init: Where the weights start; the bias starts at zero.
        dtype: Of the computation; the parameters are float32.
    """

    features: int
    use_bias: bool = True
    kernel_init: Initializer = GAUSSIAN
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch twice_height twice_width features"]:
        """Doubles the maps."""
        kernel = self.param(
            "kernel", self.kernel_init, (3, 3, x.shape[-1], self.features), jnp.float32
        )
        y = conv_transpose(
            x.astype(self.dtype), _with_ones(kernel).astype(self.dtype), stride=2, padding="SAME"
        )
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y + bias.astype(self.dtype)


def _with_ones(
    kernel: Float[Array, "3 3 channels features"],
) -> Float[Array, "4 4 channels features"]:
    """The kernel convolved with a 2×2 block of ones."""
    rows = jnp.pad(kernel, ((0, 1), (0, 0), (0, 0), (0, 0))) + jnp.pad(
        kernel, ((1, 0), (0, 0), (0, 0), (0, 0))
    )
    return jnp.pad(rows, ((0, 0), (0, 1), (0, 0), (0, 0))) + jnp.pad(
        rows, ((0, 0), (1, 0), (0, 0), (0, 0))
    )
