"""A generator without a bottleneck: dilated convolutions at full resolution."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dilated(nn.Module):
    """Convolutions whose dilation doubles (Yu & Koltun, 2016); predicts the whole image.

    Attributes:
        output_size: Height and width of the prediction, given by ctxenc: the image's.
        width: Channels of every layer.
        depth: How many layers there are.
        dtype: Of the computation, given by ctxenc; the output is float32.
    """

    output_size: tuple[int, int]
    width: int = 16
    depth: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch height width 3"]:
        """Pixels in [-1, 1]."""
        for layer in range(self.depth):
            x = nn.Conv(self.width, (3, 3), kernel_dilation=2**layer, dtype=self.dtype)(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=self.dtype)(x)
            x = nn.relu(x)
        return jnp.tanh(nn.Conv(3, (3, 3), dtype=self.dtype)(x).astype(jnp.float32))
