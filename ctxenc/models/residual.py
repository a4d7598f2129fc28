"""A generator that adds to the harmonic fill, so that what it paints meets what is around it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc import masks
from ctxenc.errors import UserError
from ctxenc.masks import Mask
from ctxenc.models.generator import EncoderDecoder, Generator, Pixels
from ctxenc.models.layers import Maps

SWEEPS = 12  # at each scale: 32 × 32 images with a hole of 16 × 16 come within 0.01 dB of exact
OVER_RELAXATION = 1.7
REACH = 2.0  # what is added is at most so many of the context's standard deviations
FLATTEST = 0.01  # of a standard deviation, on the [-1, 1] scale

Images = Float[Array, "batch height width 3"]


class ResidualGenerator(EncoderDecoder):
    """`Generator`'s prediction is added to the harmonic fill, at the scale of each image's context.

    It is given the harmonic fill with the mean of the visible pixels taken off each channel,
    divided by their standard deviation; what it makes is multiplied by this. So another brightness,
    contrast or tint of the light changes a fill as it changes its image, without being learned.

    Attributes:
        skips: As of `Generator`: the whole image must be predicted.
    """

    skips: bool = False

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Pixels:
        """Predicts the hole, or the image, as `ctxenc.models` says.

        Raises:
            UserError: There is no mask among the channels, or `Generator` refuses the sizes.
        """
        if x.shape[-1] != 4:
            raise UserError("mask_channel=false: must be true, as this model continues the context")
        images, mask = x[..., :3], x[..., 3:]
        known = 1 - mask
        count = jnp.maximum(known.sum((1, 2, 3), keepdims=True), 1)
        mean = (images * known).sum((1, 2), keepdims=True) / count
        variance = (jnp.square(images - mean) * known).sum((1, 2, 3), keepdims=True) / (3 * count)
        deviation = jnp.sqrt(variance + FLATTEST**2)
        smooth = jax.lax.stop_gradient(harmonic(images, mask))
        added = Generator(
            output_size=self.output_size,
            widths=self.widths,
            decoder_widths=self.decoder_widths,
            upsample=self.upsample,
            skips=self.skips,
            dtype=self.dtype,
            name="added",
        )(jnp.concatenate([(smooth - mean) / deviation, mask], axis=-1), train=train)
        base = smooth
        if self.output_size != (x.shape[1], x.shape[2]):  # a box with, perhaps, a visible band
            rows = (mask[..., 0] > 0).any(axis=2).sum(axis=1)
            band = (self.output_size[0] - rows) // 2
            base = masks.crop(smooth, masks.corners(mask) - band[:, None], self.output_size)
        predicted = base + REACH * deviation * added
        # Clipped in training, a pixel that is beyond would have no gradient to bring it back.
        return predicted if train else jnp.clip(predicted, -1, 1)


def harmonic(images: Images, mask: Mask) -> Images:
    """The images with their missing pixels near the mean of their neighbours.

    From coarse to fine, each scale starts from the one before (missing pixels are first the means
    of what is visible in blocks of 2, 4, … pixels) and is relaxed by Gauss and Seidel's sweeps,
    over-relaxed, the pixels of a checkerboard's two colours in turn.
    """
    scales, visible = [], 1 - mask
    pixels = images * visible
    while min(pixels.shape[1:3]) > 1:
        scales.append((pixels, visible))
        even = [(0, 0), (0, pixels.shape[1] % 2), (0, pixels.shape[2] % 2), (0, 0)]

        def halved(maps: Array, even: list[tuple[int, int]] = even) -> Array:
            maps = jnp.pad(maps, even)
            batch, height, width, channels = maps.shape
            return maps.reshape(batch, height // 2, 2, width // 2, 2, channels).sum((2, 4))

        pixels, weights = halved(pixels), halved(visible)
        visible = (weights > 0).astype(pixels.dtype)
        pixels = pixels / jnp.maximum(weights, 1)
    for fine, visible in reversed(scales):
        coarse = pixels.repeat(2, axis=1).repeat(2, axis=2)[:, : fine.shape[1], : fine.shape[2]]
        pixels = _relaxed(fine + (1 - visible) * coarse, 1 - visible)
    return pixels


def _relaxed(pixels: Images, missing: Mask) -> Images:
    height, width = pixels.shape[1:3]
    red = ((jnp.arange(height)[:, None] + jnp.arange(width)) % 2)[..., None]
    steps = [OVER_RELAXATION * missing * colour for colour in (red, 1 - red)]

    def sweep(_: Array, pixels: Images) -> Images:
        for step in steps:
            padded = jnp.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
            down, right = padded[:, :, 1:-1], padded[:, 1:-1]
            around = down[:, :-2] + down[:, 2:] + right[:, :, :-2] + right[:, :, 2:]
            pixels = pixels + step * (around / 4 - pixels)
        return pixels

    return jax.lax.fori_loop(0, SWEEPS, sweep, pixels)
