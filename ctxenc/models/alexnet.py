"""The paper's network for learning features: AlexNet to its last pooling, and a decoder.

AlexNet is Krizhevsky et al.'s (2012). Two things differ from it and from the paper: batch
normalisation stands after each convolution where AlexNet has local response normalisation after
two, since weights from N(0, 0.02) do not train through ten layers without; and as everywhere in
the authors' code convolutions have no biases.

What the paper's figures say of the decoder (five up-convolutions of 5×5 and stride 2; 11×11×128,
21×21×64, 41×41×64, 81×81×32, 161×161×3, resized to 227×227) is given here from memory, as is that
a 1×1 convolution with as many channels follows the channel-wise layer. Bilinear resizing, and tanh
before it, are choices of this file.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.models.base import RGB, EncoderDecoder
from ctxenc.models.layers import BatchNorm, ChannelwiseDense, Conv, up

SMALLEST = 99
"""Pixels of the smallest image of which 2×2 are left; of 1×1 the decoder could make but 1×1."""


class AlexNetGenerator(EncoderDecoder):
    """AlexNet to pool5, a channel-wise fully connected layer, a 1×1 convolution, a decoder.

    Of 227×227 pixels the encoder leaves 6×6×256 = 9216 numbers. Two of five layers see all
    channels of the one before; the others are two convolutions side by side, each on half the
    channels.

    The decoder's up-convolutions of 5×5 make n pixels 2n - 1, with `upsample="resize_conv"` 2n; its
    last map, 161×161 for images of 227×227, is resized to `output_size`.

    Attributes:
        widths: Channels after each of AlexNet's five convolutions, all of them even.
        decoder_widths: Channels after the first four up-convolutions; the fifth makes red, green
            and blue.
    """

    widths: tuple[int, ...] = (96, 256, 384, 384, 256)
    decoder_widths: tuple[int, ...] = (128, 64, 64, 32)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch out_height out_width 3"]:
        """Predicts the whole image, as `ctxenc.models` says; its images are of 99×99 or more.

        Raises:
            UserError: The image is too small, or there are not so many widths as layers.
        """
        self._check((x.shape[1], x.shape[2]))
        x = self._encode(x, train)
        x = ChannelwiseDense((x.shape[1], x.shape[2]), dtype=self.dtype)(x)
        x = self._convolved(x, self.widths[-1], 1, train)
        for width in self.decoder_widths:
            x = nn.relu(self._norm(self._up(width)(x), train))
        x = jnp.tanh(self._up(RGB)(x).astype(jnp.float32))
        return jax.image.resize(x, (x.shape[0], *self.output_size, RGB), "bilinear")

    def _encode(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch pooled_height pooled_width features"]:
        """The image -> pool5."""
        pool = partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))
        first, second, third, fourth, fifth = self.widths
        x = pool(self._convolved(x, first, 11, train, strides=4, padding="VALID"))
        x = pool(self._convolved(x, second, 5, train, feature_group_count=2))
        x = self._convolved(x, third, 3, train)
        x = self._convolved(x, fourth, 3, train, feature_group_count=2)
        return pool(self._convolved(x, fifth, 3, train, feature_group_count=2))

    def _convolved(
        self,
        x: Float[Array, "batch height width channels"],
        width: int,
        side: int,
        train: bool,
        **options: Any,
    ) -> Float[Array, "batch out_height out_width features"]:
        """A square convolution (`options` are `nn.Conv`'s), batch normalisation and ReLU."""
        options = {"strides": 1, "use_bias": False, "dtype": self.dtype, **options}
        layer = Conv(width, kernel_size=(side, side), **options)
        return nn.relu(self._norm(layer(x), train))

    def _norm(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width channels"]:
        return BatchNorm(epsilon=1e-5, dtype=self.dtype)(x, train=train)

    def _up(self, width: int) -> nn.Module:
        pads = ((2, 2), (2, 2))
        options = {"use_bias": False, "dtype": self.dtype}
        return up(self.upsample, width, kernel_size=(5, 5), padding=pads, **options)

    def _check(self, image: tuple[int, int]) -> None:
        self.check_options(encoder=5, decoder=4)
        if any(width % 2 for width in self.widths):
            raise UserError(
                f"model.generator.widths={list(self.widths)}: must be even, as AlexNet's groups "
                "halve the channels"
            )
        if min(image) < SMALLEST:
            raise UserError(
                f"image_size={min(image)}: expected {SMALLEST} or more (227 in the paper), or "
                "AlexNet's strides leave nothing to decode"
            )
