"""The generator, from an image with a hole to the hole's pixels, and what all generators share."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.models.layers import (
    GLOROT,
    STAGES,
    BatchNorm,
    ChannelwiseDense,
    Conv,
    ConvTranspose,
    Maps,
    ResidualBlock,
    ResizeConv,
    check_widths,
)
from ctxenc.ops import Padding

Pixels = Float[Array, "batch out_height out_width 3"]
RGB = 3
UPSAMPLINGS = ("deconv", "resize_conv")


class EncoderDecoder(nn.Module):
    """An encoder from an image to small maps, and a decoder from these to pixels.

    Attributes:
        output_size: Height and width of what is predicted, in pixels: the hole or the image.
        widths: Channels after each of the encoder's convolutions.
        decoder_widths: Channels of the decoder's maps, smallest map first; three (red, green,
            blue) follow at the full size.
        upsample: How the decoder doubles its maps: "deconv" for up-convolutions with stride 2,
            "resize_conv" for `layers.ResizeConv`.
        dtype: Of the computation; parameters, statistics and output are float32.
    """

    output_size: tuple[int, int]
    widths: tuple[int, ...]
    decoder_widths: tuple[int, ...]
    upsample: str = "deconv"
    dtype: Any = jnp.float32

    def up(
        self,
        features: int,
        *,
        kernel_size: tuple[int, int] = (4, 4),
        padding: Padding = "SAME",
        use_bias: bool = True,
    ) -> nn.Module:
        """The layer that doubles a map; only an up-convolution has the kernel size and padding."""
        options: dict[str, Any] = {"use_bias": use_bias, "dtype": self.dtype}
        if self.upsample == "resize_conv":
            return ResizeConv(features, **options)
        return ConvTranspose(features, kernel_size, padding=padding, **options)

    @property
    def start(self) -> tuple[int, int]:
        """Height and width of the decoder's first map, which is doubled up to `output_size`."""
        doublings = 2 ** len(self.decoder_widths)
        return self.output_size[0] // doublings, self.output_size[1] // doublings

    def check_options(self, encoder: int | None = None, decoder: int | None = None) -> None:
        """Refuses an unknown `upsample`, and widths below 1 or not as many as there are layers."""
        check_widths("model.generator.widths", self.widths, encoder)
        check_widths("model.generator.decoder_widths", self.decoder_widths, decoder)
        if self.upsample not in UPSAMPLINGS:
            raise UserError(
                f"model.generator.upsample={self.upsample}: expected {' or '.join(UPSAMPLINGS)}"
            )

    def check_sizes(self, image: tuple[int, int]) -> None:
        """Refuses an image (height, width) that halving, or an output that doubling, misses."""
        same = ("image_size", "image_size")
        keys = same if self.output_size == image else ("mask_height", "mask_width")
        for names, sizes, widths, verb in (
            (same, image, self.widths, "encoder halves"),
            (keys, self.output_size, self.decoder_widths, "decoder doubles"),
        ):
            factor = 2 ** len(widths)
            for name, size in zip(names, sizes, strict=True):
                if size < factor or size % factor:
                    raise UserError(
                        f"{name}={size}: expected a multiple of {factor}, as the model's {verb} "
                        f"{len(widths)} times"
                    )


class Generator(EncoderDecoder):
    """An encoder, a layer that connects every position to every position, and a decoder.

    The encoder halves the image once for each of `widths`; the decoder starts from maps of
    `output_size / 2 ** len(decoder_widths)` and doubles them until they are `output_size`.

    Attributes:
        bottleneck: What joins the two: None for a channel-wise fully connected layer (which keeps
            the channels, so `decoder_widths` must start as `widths` ends), or the width of a
            1×1 map between a convolution over the whole map and an up-convolution.
        mix_channels: Whether a 1×1 convolution follows the channel-wise layer, which carries
            nothing from channel to channel (section 3.1 of the paper); `decoder_widths` may then
            start with any number.
        blocks: How many `layers.ResidualBlock`s follow each of the encoder's convolutions, a number
            for each of `widths`; none at all where it is empty.
        skips: Whether the decoder's maps are given the encoder's of their size through a 1×1
            convolution (a U-Net, Ronneberger et al., 2015), so that the fill meets its border.
            The whole image must be predicted.
        self_ensemble: Whether, outside of training, an image's prediction is the mean of its own
            and the mirrored image's, mirrored back (Timofte et al., 2016): twice the time.
    """

    widths: tuple[int, ...] = (128, 256, 512)
    decoder_widths: tuple[int, ...] = (512, 256)
    bottleneck: int | None = None
    mix_channels: bool = False
    blocks: tuple[int, ...] = ()
    skips: bool = False
    self_ensemble: bool = False

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Pixels:
        """Predicts the hole, as `ctxenc.models` says.

        Raises:
            UserError: The image or the hole has a size that these widths cannot work with, or
                options do not fit together.
        """
        self._check((x.shape[1], x.shape[2]))
        only_stages = self.is_mutable_collection(STAGES)  # what is asked for them needs no ensemble
        if train or only_stages or not self.self_ensemble:
            return self._predict(x, train)
        both = self._predict(jnp.concatenate([x, x[:, :, ::-1]]), train)
        as_it_is, mirrored = jnp.split(both, 2)
        return (as_it_is + mirrored[:, :, ::-1]) / 2

    def _predict(self, x: Maps, train: bool) -> Pixels:
        encoded = []
        blocks = self.blocks or (0,) * len(self.widths)
        for n, (width, count) in enumerate(zip(self.widths, blocks, strict=True), 1):
            x = nn.relu(Conv(width, dtype=self.dtype)(x))
            x = BatchNorm(dtype=self.dtype)(x, train=train)
            for _ in range(count):
                x = ResidualBlock(dtype=self.dtype)(x, train=train)
            self.sow(STAGES, f"conv{n}", x)
            encoded.append(x)
        x = self._join(x)
        x = nn.leaky_relu(BatchNorm(dtype=self.dtype)(x, train=train), 0.2)
        for n, width in enumerate(self.decoder_widths[1:]):
            x = self.up(width)(x)
            if self.skips:
                x = x + nn.Dense(width, dtype=self.dtype)(encoded[-2 - n])
            x = BatchNorm(dtype=self.dtype)(nn.leaky_relu(x, 0.2), train=train)
        x = self.up(RGB)(x)
        return jnp.tanh(x.astype(jnp.float32))

    def _join(self, x: Maps) -> Float[Array, "batch start_height start_width start_channels"]:
        """Carries the encoder's maps to the decoder's first."""
        whole: dict[str, Any] = {"strides": (1, 1), "padding": "VALID"}
        whole |= {"kernel_init": GLOROT, "dtype": self.dtype}
        if self.bottleneck is None:
            x = ChannelwiseDense(self.start, dtype=self.dtype)(x)
            if self.mix_channels:
                x = Conv(self.decoder_widths[0], kernel_size=(1, 1), **whole)(x)
            return x
        x = Conv(self.bottleneck, kernel_size=x.shape[1:3], **whole)(x)
        self.sow(STAGES, "bottleneck", x)
        return ConvTranspose(self.decoder_widths[0], kernel_size=self.start, **whole)(x)

    def _check(self, image: tuple[int, int]) -> None:
        self.check_options()
        self.check_sizes(image)
        if self.bottleneck is not None and self.bottleneck < 1:
            raise UserError(
                f"model.generator.bottleneck={self.bottleneck}: expected null, or 1 or more"
            )
        if self.blocks and (len(self.blocks) != len(self.widths) or min(self.blocks) < 0):
            raise UserError(
                f"model.generator.blocks={list(self.blocks)}: expected none, or {len(self.widths)} "
                "numbers, as there are widths, each 0 or more"
            )
        if self.mix_channels and self.bottleneck is not None:
            raise UserError(
                "model.generator.mix_channels=true: must be false with a bottleneck, which joins "
                "the channels already"
            )
        if self.skips and self.output_size != image:
            raise UserError(
                "model.generator.skips=true: must be false where the hole alone is predicted; "
                "predict=image allows them"
            )
        if self.skips and len(self.decoder_widths) != len(self.widths):
            raise UserError(
                f"model.generator.decoder_widths={list(self.decoder_widths)}: expected "
                f"{len(self.widths)} numbers, as there are widths, for skips"
            )
        keeps_channels = self.bottleneck is None and not self.mix_channels
        if keeps_channels and self.decoder_widths[0] != self.widths[-1]:
            raise UserError(
                f"model.generator.decoder_widths={list(self.decoder_widths)}: must start with "
                f"{self.widths[-1]}, as the channel-wise layer keeps the encoder's channels"
            )
