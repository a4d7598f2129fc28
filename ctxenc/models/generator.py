"""The generator: from an image with a hole to the hole's pixels."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.models.checks import check_doublings, check_halvings, check_upsample, check_widths
from ctxenc.models.layers import GLOROT, BatchNorm, ChannelwiseDense, Conv, ConvTranspose
from ctxenc.models.upsampling import up

RGB = 3


class Generator(nn.Module):
    """An encoder, a layer that connects every position to every position, and a decoder.

    The encoder halves the image once for each of `widths`; the decoder starts from maps of
    `output_size / 2 ** len(decoder_widths)` and doubles them until they are `output_size`.

    Attributes:
        output_size: Height and width of the hole, in pixels.
        widths: Channels after each of the encoder's convolutions.
        decoder_widths: Channels of the decoder's maps, smallest map first; three (red, green,
            blue) follow at the full size.
        bottleneck: What joins the two: None for a channel-wise fully connected layer (which keeps
            the channels, so `decoder_widths` must start as `widths` ends), or the width of a
            1×1 map between a convolution over the whole map and an up-convolution.
        mix_channels: Whether a 1×1 convolution follows the channel-wise layer, which carries
            nothing from channel to channel (section 3.1 of the paper); `decoder_widths` may then
            start with any number.
        upsample: How the decoder doubles its maps: "deconv" or "resize_conv" (see `upsampling`).
        dtype: Of the computation; parameters, statistics and output are float32.
    """

    output_size: tuple[int, int]
    widths: tuple[int, ...] = (128, 256, 512)
    decoder_widths: tuple[int, ...] = (512, 256)
    bottleneck: int | None = None
    mix_channels: bool = False
    upsample: str = "deconv"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch hole_height hole_width 3"]:
        """Fills the hole.

        Args:
            x: Images in [-1, 1] with the hole already covered; further channels are welcome.
            train: Whether batch normalisation uses, and records, this batch's statistics.

        Returns:
            The hole's pixels in [-1, 1].

        Raises:
            UserError: The image or the hole has a size that these widths cannot work with.
        """
        self._check((x.shape[1], x.shape[2]))
        for width in self.widths:
            x = nn.relu(Conv(width, dtype=self.dtype)(x))
            x = BatchNorm(dtype=self.dtype)(x, train=train)
        x = self._join(x)
        x = nn.leaky_relu(BatchNorm(dtype=self.dtype)(x, train=train), 0.2)
        for width in self.decoder_widths[1:]:
            x = nn.leaky_relu(up(self.upsample, width, dtype=self.dtype)(x), 0.2)
            x = BatchNorm(dtype=self.dtype)(x, train=train)
        x = up(self.upsample, RGB, dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32))

    def _join(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch start_height start_width start_channels"]:
        """Carries the encoder's maps to the decoder's first."""
        doublings = 2 ** len(self.decoder_widths)
        start = (self.output_size[0] // doublings, self.output_size[1] // doublings)
        whole = {"stride": 1, "padding": "VALID", "kernel_init": GLOROT, "dtype": self.dtype}
        if self.bottleneck is None:
            x = ChannelwiseDense(start, dtype=self.dtype)(x)
            if self.mix_channels:
                x = Conv(self.decoder_widths[0], window=(1, 1), **whole)(x)
            return x
        x = Conv(self.bottleneck, window=(x.shape[1], x.shape[2]), **whole)(x)
        return ConvTranspose(self.decoder_widths[0], window=start, **whole)(x)

    def _check(self, image: tuple[int, int]) -> None:
        """Refuses sizes that cannot work, naming the key, what it got and what it takes."""
        check_widths("model.generator.widths", self.widths)
        check_widths("model.generator.decoder_widths", self.decoder_widths)
        check_upsample(self.upsample)
        if self.bottleneck is not None and self.bottleneck < 1:
            raise UserError(
                f"model.generator.bottleneck={self.bottleneck}: it takes null or 1 and more"
            )
        check_halvings(image, len(self.widths))
        check_doublings(self.output_size, len(self.decoder_widths), image)
        if self.mix_channels and self.bottleneck is not None:
            raise UserError(
                "model.generator.mix_channels=true: a bottleneck joins the channels already; "
                "it takes false"
            )
        keeps_channels = self.bottleneck is None and not self.mix_channels
        if keeps_channels and self.decoder_widths[0] != self.widths[-1]:
            raise UserError(
                f"model.generator.decoder_widths={list(self.decoder_widths)}: the channel-wise "
                f"layer keeps the encoder's channels; it takes lists that start with "
                f"{self.widths[-1]}"
            )
