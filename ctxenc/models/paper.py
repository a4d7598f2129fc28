"""The networks of the authors' Torch code (Pathak et al., 2016, `train.lua`, `train_random.lua`).

That code sets the bias of every convolution to zero before each pass, so there are none here. Its
weights start from N(0, 0.02), the gains of batch normalisation from N(1, 0.02). Padding "SAME" is
its padding of 1 wherever a size is even.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ctxenc.errors import UserError
from ctxenc.models.discriminator import Discriminator, Logits
from ctxenc.models.generator import RGB, EncoderDecoder, Pixels
from ctxenc.models.layers import GAUSSIAN, STAGES, BatchNorm, Conv, ConvTranspose, Maps

TorchNorm = partial(BatchNorm, epsilon=1e-5, scale_init=lambda *args: 1 + GAUSSIAN(*args))
"""Batch normalisation with Torch's epsilon and the authors' gains."""


class PaperGenerator(EncoderDecoder):
    """The authors' context encoder: everything goes through a bottleneck of one pixel.

    The encoder halves the image once for each of `widths`, a convolution over the whole map makes
    one pixel of it, an up-convolution makes that a map of `output_size / 2 ** len(decoder_widths)`,
    and the decoder doubles it until it is `output_size`. The authors' maps around the bottleneck
    are 4×4, and their `upsample` is "deconv"; other sizes of image have other maps.

    Attributes:
        bottleneck: Channels of the one pixel.
    """

    widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    decoder_widths: tuple[int, ...] = (512, 256, 128, 64)
    bottleneck: int = 4000

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Pixels:
        """Predicts the hole, or the whole image, as `ctxenc.models` says.

        Raises:
            UserError: The image or the hole has a size that these widths cannot work with, or a
                training batch is one image.
        """
        self._check((x.shape[1], x.shape[2]), x.shape[0] if train else None)
        plain: dict[str, Any] = {"use_bias": False, "dtype": self.dtype}
        whole = {"strides": (1, 1), "padding": "VALID", **plain}
        norm = partial(TorchNorm, dtype=self.dtype)
        for i, width in enumerate(self.widths):
            x = Conv(width, **plain)(x)
            x = nn.leaky_relu(x if i == 0 else norm()(x, train=train), 0.2)
            self.sow(STAGES, f"conv{i + 1}", x)
        x = Conv(self.bottleneck, kernel_size=x.shape[1:3], **whole)(x)
        x = nn.leaky_relu(norm()(x, train=train), 0.2)
        self.sow(STAGES, "bottleneck", x)
        x = ConvTranspose(self.decoder_widths[0], kernel_size=self.start, **whole)(x)
        x = nn.relu(norm()(x, train=train))
        for width in self.decoder_widths[1:]:
            x = nn.relu(norm()(self.up(width, use_bias=False)(x), train=train))
        x = self.up(RGB, use_bias=False)(x)
        return jnp.tanh(x.astype(jnp.float32))

    def _check(self, image: tuple[int, int], batch: int | None) -> None:
        self.check_options()
        self.check_sizes(image)
        if self.bottleneck < 1:
            raise UserError(f"model.generator.bottleneck={self.bottleneck}: expected 1 or more")
        if batch == 1:
            raise UserError(
                "batch_size=1: expected 2 or more, as the bottleneck's one pixel is normalised "
                "over the batch alone"
            )


class PaperDiscriminator(Discriminator):
    """Convolutions that halve the pixels, then one over the whole map to one number.

    Batch normalisation follows each of them but the first. The authors' sigmoid is part of the
    loss here.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Logits:
        """Judges pixels, as `ctxenc.models` says.

        Raises:
            UserError: A width is not a positive number, or both normalisations are asked for.
        """
        self.check_options()
        plain: dict[str, Any] = {"use_bias": False, "dtype": self.dtype}
        for i, width in enumerate(self.widths):
            x = self.through(Conv(width, **plain), x, train=train)
            if self.batch_norm and i > 0:
                x = TorchNorm(dtype=self.dtype)(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        over_all = Conv(1, kernel_size=x.shape[1:3], strides=1, padding="VALID", **plain)
        return self.through(over_all, x, train=train)[:, 0, 0, 0].astype(jnp.float32)
