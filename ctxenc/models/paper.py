"""The networks of the authors' Torch code (Pathak et al., 2016, `train.lua`, `train_random.lua`).

That code sets the bias of every convolution to zero before each pass, so there are none here. Its
weights start from N(0, 0.02), the gains of batch normalisation from N(1, 0.02). Padding "SAME" is
its padding of 1 wherever a size is even.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.models.checks import (
    check_batch,
    check_doublings,
    check_halvings,
    check_norms,
    check_upsample,
    check_widths,
)
from ctxenc.models.generator import RGB
from ctxenc.models.layers import GAUSSIAN, BatchNorm, Conv, ConvTranspose, constrained
from ctxenc.models.upsampling import up


def _around_one(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    return 1 + GAUSSIAN(key, shape, dtype)


GAIN: Initializer = _around_one

TorchNorm = partial(BatchNorm, epsilon=1e-5, scale_init=GAIN)
"""Batch normalisation with Torch's epsilon and the authors' gains."""


class PaperGenerator(nn.Module):
    """The authors' context encoder: everything goes through a bottleneck of one pixel.

    The encoder halves the image once for each of `widths`, a convolution over the whole map makes
    one pixel of it, an up-convolution makes that a map of `output_size / 2 ** len(decoder_widths)`,
    and the decoder doubles it until it is `output_size`. The authors' maps around the bottleneck
    are 4×4; other sizes of image have others.

    Attributes:
        output_size: Height and width of what is predicted, in pixels: the hole or the image.
        widths: Channels after each of the encoder's convolutions.
        decoder_widths: Channels of the decoder's maps, smallest map first; three (red, green,
            blue) follow at the full size.
        bottleneck: Channels of the one pixel.
        upsample: How the decoder doubles its maps: "deconv" (the authors') or "resize_conv".
        dtype: Of the computation; parameters, statistics and output are float32.
    """

    output_size: tuple[int, int]
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    decoder_widths: tuple[int, ...] = (512, 256, 128, 64)
    bottleneck: int = 4000
    upsample: str = "deconv"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch out_height out_width 3"]:
        """Predicts the hole, or the whole image.

        Args:
            x: Images in [-1, 1] with the hole already covered; further channels are welcome.
            train: Whether batch normalisation uses, and records, this batch's statistics.

        Returns:
            Pixels in [-1, 1].

        Raises:
            UserError: The image or the hole has a size that these widths cannot work with, or there
                is one image to train on.
        """
        self._check((x.shape[1], x.shape[2]))
        if train:
            check_batch(x.shape[0])
        plain = {"use_bias": False, "dtype": self.dtype}
        whole = {"stride": 1, "padding": "VALID", **plain}
        norm = partial(TorchNorm, dtype=self.dtype)
        for i, width in enumerate(self.widths):
            x = Conv(width, **plain)(x)
            x = nn.leaky_relu(x if i == 0 else norm()(x, train=train), 0.2)
        x = Conv(self.bottleneck, window=(x.shape[1], x.shape[2]), **whole)(x)
        x = nn.leaky_relu(norm()(x, train=train), 0.2)
        x = ConvTranspose(self.decoder_widths[0], window=self._start, **whole)(x)
        x = nn.relu(norm()(x, train=train))
        for width in self.decoder_widths[1:]:
            x = nn.relu(norm()(up(self.upsample, width, **plain)(x), train=train))
        x = up(self.upsample, RGB, **plain)(x)
        return jnp.tanh(x.astype(jnp.float32))

    @property
    def _start(self) -> tuple[int, int]:
        """Height and width of the decoder's first map."""
        doublings = 2 ** len(self.decoder_widths)
        return self.output_size[0] // doublings, self.output_size[1] // doublings

    def _check(self, image: tuple[int, int]) -> None:
        check_widths("model.generator.widths", self.widths)
        check_widths("model.generator.decoder_widths", self.decoder_widths)
        check_upsample(self.upsample)
        if self.bottleneck < 1:
            raise UserError(f"model.generator.bottleneck={self.bottleneck}: it takes 1 and more")
        check_halvings(image, len(self.widths))
        check_doublings(self.output_size, len(self.decoder_widths), image)


class PaperDiscriminator(nn.Module):
    """Convolutions that halve the pixels, then one over the whole map to one number.

    Attributes:
        widths: Channels after each halving convolution.
        batch_norm: Whether batch normalisation follows each of them but the first.
        spectral_norm: Whether each layer's kernel is divided by its largest singular value.
        dtype: Of the computation; parameters, statistics and output are float32.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    batch_norm: bool = True
    spectral_norm: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, " batch"]:
        """Judges pixels.

        Args:
            x: Pixels in [-1, 1], real or predicted, of any size.
            train: Whether batch normalisation uses, and records, this batch's statistics.

        Returns:
            Logits, not probabilities: the authors' sigmoid is part of the loss here.

        Raises:
            UserError: A width is not a positive number, or both normalisations are asked for.
        """
        check_widths("model.discriminator.widths", self.widths)
        check_norms(batch_norm=self.batch_norm, spectral_norm=self.spectral_norm)
        plain = {"use_bias": False, "dtype": self.dtype}
        through = partial(constrained, spectral_norm=self.spectral_norm, train=train)
        for i, width in enumerate(self.widths):
            x = through(Conv(width, **plain), x)
            if self.batch_norm and i > 0:
                x = TorchNorm(dtype=self.dtype)(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        x = through(Conv(1, window=(x.shape[1], x.shape[2]), stride=1, padding="VALID", **plain), x)
        return x[:, 0, 0, 0].astype(jnp.float32)
