"""The paper's network for learning features: AlexNet to its last pooling, and a decoder.

AlexNet is Krizhevsky et al.'s (2012). Two things differ from it and from the paper: batch
normalisation follows each convolution where AlexNet has local response normalisation after two,
since ten layers with weights from N(0, 0.02) do not train without it; and as everywhere in the
authors' code convolutions have no biases.

The decoder is that of the paper's figure, from memory: after the channel-wise layer a 1×1
convolution, then five up-convolutions of 5×5 with stride 2 (11×11×128, 21×21×64, 41×41×64,
81×81×32, 161×161×3 of images of 227×227). Bilinear resizing to the image's size, and tanh before
it, are choices of this file.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ctxenc.errors import UserError
from ctxenc.models.generator import RGB, EncoderDecoder, Pixels
from ctxenc.models.layers import STAGES, BatchNorm, ChannelwiseDense, Conv, Maps

SMALLEST = 99
"""Pixels of the smallest image of which 2×2 are left; the decoder would leave 1×1 as it is."""


class AlexNetGenerator(EncoderDecoder):
    """AlexNet to pool5, a channel-wise fully connected layer, a 1×1 convolution, a decoder.

    The encoder reduces 227×227 pixels to 6×6×256 = 9216 numbers. The decoder's 5×5 up-convolutions
    turn n pixels into 2n - 1, `upsample="resize_conv"` into 2n.

    Attributes:
        widths: Channels after each of AlexNet's five convolutions, all of them even.
        decoder_widths: Channels after the first four up-convolutions; the fifth makes red, green
            and blue.
    """

    widths: tuple[int, ...] = (96, 256, 384, 384, 256)
    decoder_widths: tuple[int, ...] = (128, 64, 64, 32)

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Pixels:
        """Predicts the whole image, as `ctxenc.models` says, from one of 99×99 pixels or more.

        Raises:
            UserError: The image is too small, or there are fewer or more widths than layers.
        """
        self._check((x.shape[1], x.shape[2]))
        plain: dict[str, Any] = {"use_bias": False, "dtype": self.dtype}
        pool = partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))

        def norm_relu(x: Array) -> Array:
            return nn.relu(BatchNorm(epsilon=1e-5, dtype=self.dtype)(x, train=train))

        def convolved(x: Array, width: int, side: int, **options: Any) -> Array:
            layer = Conv(width, kernel_size=(side, side), **{"strides": 1, **plain, **options})
            return norm_relu(layer(x))

        def stage(name: str, x: Array) -> Array:
            self.sow(STAGES, name, x)
            return x

        first, second, third, fourth, fifth = self.widths  # the stages' names are Caffe's
        x = stage("pool1", pool(convolved(x, first, 11, strides=4, padding="VALID")))
        x = stage("pool2", pool(convolved(x, second, 5, feature_group_count=2)))
        x = stage("conv3", convolved(x, third, 3))
        x = stage("conv4", convolved(x, fourth, 3, feature_group_count=2))
        x = stage("pool5", pool(convolved(x, fifth, 3, feature_group_count=2)))
        x = ChannelwiseDense((x.shape[1], x.shape[2]), dtype=self.dtype)(x)
        x = convolved(x, fifth, 1)
        up = partial(self.up, kernel_size=(5, 5), padding=((2, 2), (2, 2)), use_bias=False)
        for width in self.decoder_widths:
            x = norm_relu(up(width)(x))
        x = jnp.tanh(up(RGB)(x).astype(jnp.float32))
        return jax.image.resize(x, (x.shape[0], *self.output_size, RGB), "bilinear")

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
