"""The discriminator: from a hole's pixels to how real they look."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.models.layers import GLOROT, BatchNorm, Conv


class Discriminator(nn.Module):
    """Convolutions that halve the pixels, then one dense layer to one number.

    Attributes:
        widths: Channels after each convolution.
        dtype: Of the computation; parameters, statistics and output are float32.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, " batch"]:
        """Judges pixels.

        Args:
            x: Pixels in [-1, 1], real or filled.
            train: Whether batch normalisation uses, and records, this batch's statistics.

        Returns:
            Logits, not probabilities: above zero for what it takes to be real.

        Raises:
            UserError: A width is not a positive number.
        """
        if min(self.widths, default=1) < 1:
            raise UserError(
                f"model.discriminator.widths={list(self.widths)}: it takes numbers, each 1 or more"
            )
        for width in self.widths:
            x = nn.leaky_relu(Conv(width, dtype=self.dtype)(x), 0.2)
            x = BatchNorm(dtype=self.dtype)(x, train=train)
        x = nn.Dense(1, kernel_init=GLOROT, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        return x[:, 0].astype(jnp.float32)
