"""The discriminator: from a hole's pixels to how real they look."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.models.layers import GLOROT, BatchNorm, Conv, Maps, check_widths

Logits = Float[Array, " batch"]


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
    def __call__(self, x: Maps, *, train: bool) -> Logits:
        """Judges pixels, as `ctxenc.models` says.

        Raises:
            UserError: A width is not a positive number, or both normalisations are asked for.
        """
        if self.widths:
            self.check_options()
        for width in self.widths:
            x = nn.leaky_relu(self.through(Conv(width, dtype=self.dtype), x, train=train), 0.2)
            if self.batch_norm:
                x = BatchNorm(dtype=self.dtype)(x, train=train)
        dense = nn.Dense(1, kernel_init=GLOROT, dtype=self.dtype)
        x = self.through(dense, x.reshape(x.shape[0], -1), train=train)
        return x[:, 0].astype(jnp.float32)

    def through(
        self, layer: nn.Module, x: Float[Array, "batch *size channels"], *, train: bool
    ) -> Float[Array, "batch *out_size features"]:
        """A layer applied to `x`, with `spectral_norm` after spectral normalisation.

        That divides the layer's kernel, as a matrix from (rows, columns, channels) to features, by
        its largest singular value (Miyato et al., 2018), estimated by one power iteration in each
        training pass. The iteration's vector is kept in "batch_stats".
        """
        if self.spectral_norm:
            return nn.SpectralNorm(layer)(x, update_stats=train)
        return layer(x)

    def check_options(self) -> None:
        """Refuses widths that are not positive numbers, and both normalisations together."""
        check_widths("model.discriminator.widths", self.widths)
        if self.batch_norm and self.spectral_norm:
            raise UserError(
                "model.discriminator.spectral_norm=true: must be false unless "
                "model.discriminator.batch_norm=false, as batch normalisation undoes it"
            )
