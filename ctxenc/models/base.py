"""What the generators share: their options, and what these cannot be."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ctxenc.errors import UserError
from ctxenc.models.layers import ConvTranspose, ResizeConv
from ctxenc.ops import Padding

RGB = 3
UPSAMPLINGS = ("deconv", "resize_conv")


class EncoderDecoder(nn.Module):
    """An encoder that makes small maps of an image, and a decoder that makes large ones of them.

    Attributes:
        output_size: Height and width of what is predicted, in pixels: the hole or the image.
        widths: Channels after each of the encoder's convolutions.
        decoder_widths: Channels of the decoder's maps, smallest map first; three (red, green,
            blue) follow at the full size.
        upsample: How the decoder doubles its maps: "deconv" for up-convolutions with stride 2, or
            "resize_conv" (see `layers.ResizeConv`).
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
        """The layer that doubles a map; kernel size and padding are of up-convolutions only."""
        options: dict[str, Any] = {"use_bias": use_bias, "dtype": self.dtype}
        if self.upsample == "resize_conv":
            return ResizeConv(features, **options)
        return ConvTranspose(features, kernel_size, padding=padding, **options)

    @property
    def start(self) -> tuple[int, int]:
        """Height and width of the map from which doublings lead to `output_size`."""
        doublings = 2 ** len(self.decoder_widths)
        return self.output_size[0] // doublings, self.output_size[1] // doublings

    def check_options(self, encoder: int | None = None, decoder: int | None = None) -> None:
        """Refuses widths below 1, or not so many as layers, and ways to double that there are not.

        Raises:
            UserError: One of them.
        """
        check_widths("model.generator.widths", self.widths, encoder)
        check_widths("model.generator.decoder_widths", self.decoder_widths, decoder)
        if self.upsample not in UPSAMPLINGS:
            raise UserError(
                f"model.generator.upsample={self.upsample}: expected {' or '.join(UPSAMPLINGS)}"
            )

    def check_sizes(self, image: tuple[int, int]) -> None:
        """Refuses an image (height, width) that cannot be halved, an output that cannot be doubled.

        Raises:
            UserError: It names the image where the output is as large.
        """
        keys = ("image_size",) * 2 if self.output_size == image else ("mask_height", "mask_width")
        for name, size in zip(("image_size",) * 2, image, strict=True):
            _check_multiple(name, size, len(self.widths), "encoder halves")
        for name, size in zip(keys, self.output_size, strict=True):
            _check_multiple(name, size, len(self.decoder_widths), "decoder doubles")


def check_widths(key: str, widths: Sequence[int], count: int | None = None) -> None:
    """Refuses a list of channels that is empty, or not of `count` numbers, or has one below 1."""
    if not widths or min(widths) < 1 or count not in (None, len(widths)):
        numbers = "one or more" if count is None else str(count)
        raise UserError(f"{key}={list(widths)}: expected {numbers} numbers, each 1 or more")


def _check_multiple(key: str, size: int, times: int, verb: str) -> None:
    factor = 2**times
    if size < factor or size % factor:
        raise UserError(
            f"{key}={size}: expected a multiple of {factor}, as the model's {verb} {times} times"
        )
