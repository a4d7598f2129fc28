"""What the generators share: their options, and the checks of these."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.models.layers import ConvTranspose, ResizeConv
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
        """Checks the widths, and how many there are where a network has a fixed number of layers.

        Raises:
            UserError: There are too few or too many, one is below 1, or `upsample` is unknown.
        """
        check_widths("model.generator.widths", self.widths, encoder)
        check_widths("model.generator.decoder_widths", self.decoder_widths, decoder)
        if self.upsample not in UPSAMPLINGS:
            raise UserError(
                f"model.generator.upsample={self.upsample}: expected {' or '.join(UPSAMPLINGS)}"
            )

    def check_sizes(self, image: tuple[int, int]) -> None:
        """Checks that an image (height, width) can be halved, and the output reached by doubling.

        Raises:
            UserError: They cannot; an output as large as the image is named `image_size`.
        """
        keys = ("image_size",) * 2 if self.output_size == image else ("mask_height", "mask_width")
        for name, size in zip(("image_size",) * 2, image, strict=True):
            _check_multiple(name, size, len(self.widths), "encoder halves")
        for name, size in zip(keys, self.output_size, strict=True):
            _check_multiple(name, size, len(self.decoder_widths), "decoder doubles")


def check_widths(key: str, widths: Sequence[int], count: int | None = None) -> None:
    """Refuses a list of channels that is empty, has one below 1, or not `count` of them."""
    if not widths or min(widths) < 1 or count not in (None, len(widths)):
        numbers = "one or more" if count is None else str(count)
        raise UserError(f"{key}={list(widths)}: expected {numbers} numbers, each 1 or more")


def _check_multiple(key: str, size: int, times: int, verb: str) -> None:
    factor = 2**times
    if size < factor or size % factor:
        raise UserError(
            f"{key}={size}: expected a multiple of {factor}, as the model's {verb} {times} times"
        )
