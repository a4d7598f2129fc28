"""The discriminator: from a hole's pixels to how real they look."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.models.checks import check_norms, check_widths
from ctxenc.models.layers import GLOROT, BatchNorm, Conv, constrained


class Discriminator(nn.Module):
    """Convolutions that halve the pixels, then one dense layer to one number.

    Attributes:
        widths: Channels after each convolution.
        batch_norm: Whether batch normalisation follows each convolution.
        spectral_norm: Whether each layer's kernel is divided by its largest singular value.
        dtype: Of the computation; parameters, statistics and output are float32.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    batch_norm: bool = True
    spectral_norm: bool = False
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
            UserError: A width is not a positive number, or both normalisations are asked for.
        """
        if self.widths:
            check_widths("model.discriminator.widths", self.widths)
        check_norms(batch_norm=self.batch_norm, spectral_norm=self.spectral_norm)
        through = partial(constrained, spectral_norm=self.spectral_norm, train=train)
        for width in self.widths:
            x = nn.leaky_relu(through(Conv(width, dtype=self.dtype), x), 0.2)
            if self.batch_norm:
                x = BatchNorm(dtype=self.dtype)(x, train=train)
        dense = nn.Dense(1, kernel_init=GLOROT, dtype=self.dtype)
        x = through(dense, x.reshape(x.shape[0], -1))
        return x[:, 0].astype(jnp.float32)
