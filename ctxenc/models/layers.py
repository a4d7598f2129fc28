"""The layers that the networks are made of, and the check of how wide these are."""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jax import lax
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.ops import Padding, conv_general_dilated, conv_transpose, over_pixels, to_pixels

Maps = Float[Array, "batch height width channels"]
NewMaps = Float[Array, "batch out_height out_width features"]

STAGES = "stages"  # the collection into which a generator sows its encoder's maps
GAUSSIAN: Initializer = nn.initializers.normal(0.02)
GLOROT: Initializer = nn.initializers.glorot_uniform()
MOMENTUM = 0.9  # of BatchNorm's moving statistics

Conv = partial(
    nn.Conv,
    kernel_size=(4, 4),
    strides=(2, 2),
    kernel_init=GAUSSIAN,
    conv_general_dilated=conv_general_dilated,
)
"""Flax's convolution, computed by `ctxenc.ops`; with these defaults it halves a map."""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions whose output is added to their input (He et al., 2016).

    The last gain starts at zero, so that the block begins as the identity (Goyal et al., 2017).

    Attributes:
        dtype: Of the computation; the parameters are float32.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Adds to the maps, which keep their shape."""
        conv = partial(
            Conv, x.shape[-1], kernel_size=(3, 3), strides=(1, 1), use_bias=False, dtype=self.dtype
        )
        norm = partial(BatchNorm, dtype=self.dtype)
        y = norm()(nn.relu(conv()(x)), train=train)
        return x + norm(scale_init=nn.initializers.zeros)(conv()(y), train=train)


class ConvTranspose(nn.Module):
    """An up-convolution plus bias, computed by `ctxenc.ops`, for which Flax's has no hook.

    Attributes:
        features: Channels of the output.
        kernel_size: Height and width of the kernel.
        strides: Output pixels to one input pixel: (down, right).
        padding: As `ctxenc.ops.conv_transpose` has it.
        use_bias: Whether a bias is added.
        kernel_init: Of the weights; the bias starts at zero.
        dtype: Of the computation; the parameters are float32.
    """

    features: int
    kernel_size: tuple[int, int] = (4, 4)
    strides: tuple[int, int] = (2, 2)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = GAUSSIAN
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        """Up-convolves."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.applied(self.param("kernel", self.kernel_init, shape, jnp.float32))
        y = conv_transpose(
            x.astype(self.dtype), kernel.astype(self.dtype), self.strides, self.padding
        )
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y + bias.astype(self.dtype)

    def applied(
        self, kernel: Float[Array, "rows columns channels features"]
    ) -> Float[Array, "_ _ channels features"]:
        """The kernel that is applied, from the one that is learned."""
        return kernel


class ResizeConv(ConvTranspose):
    """Each pixel repeated 2×2, then a 3×3 convolution, so that all output pixels are made alike.

    A 4×4 up-convolution has other weights for each of the four output pixels of an input pixel,
    and where they differ in the sum a checkerboard shows (Odena et al., "Deconvolution and
    Checkerboard Artifacts", 2016, whose best results are with nearest neighbours).

    It is computed as what it equals: the 4×4 up-convolution whose kernel is the 3×3 kernel
    convolved with a 2×2 block of ones. That costs as much as an up-convolution, where the 3×3
    convolution over the enlarged maps costs 9/4 as much.
    """

    kernel_size: tuple[int, int] = (3, 3)

    def applied(
        self, kernel: Float[Array, "3 3 channels features"]
    ) -> Float[Array, "4 4 channels features"]:
        """The kernel convolved with a 2×2 block of ones."""
        for axis in (0, 1):
            before, after = [(0, 0)] * 4, [(0, 0)] * 4
            before[axis], after[axis] = (1, 0), (0, 1)
            kernel = jnp.pad(kernel, after) + jnp.pad(kernel, before)
        return kernel


class ChannelwiseDense(nn.Module):
    """Connects every position to every position within each channel, and no channel to another.

    Each channel's map goes through a matrix of its own, plus bias (Pathak et al. 2016, section
    3.1): channels * (h * w) * (h' * w') weights, where a dense layer has channels² times as many
    as one channel. Its kernel is (channels, h * w, h' * w').

    Attributes:
        output_size: Height and width of the new maps.
        dtype: Of the computation; the parameters are float32.
    """

    output_size: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "batch out_height out_width channels"]:
        """Carries each channel's map to `output_size`."""
        batch, height, width, channels = x.shape
        positions, out = height * width, self.output_size[0] * self.output_size[1]
        # Each output is a sum over positions: a variance of 1/positions keeps its spread.
        init = nn.initializers.variance_scaling(
            1.0, "fan_in", "truncated_normal", in_axis=1, out_axis=2, batch_axis=0
        )
        kernel = self.param("kernel", init, (channels, positions, out), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (out, channels), jnp.float32)
        maps = x.astype(self.dtype).reshape(batch, positions, channels)
        y = jnp.einsum("bpc,cpq->bqc", maps, kernel.astype(self.dtype))
        return (y + bias.astype(self.dtype)).reshape(batch, *self.output_size, channels)


class BatchNorm(nn.Module):
    """Batch normalisation with momentum 0.9, as in the authors' Torch code, and Keras's epsilon.

    The TensorFlow original has Keras's momentum, 0.99. With it the moving variance leaves its start
    at 1 so slowly (initial activations have variances near 0.01) that a test after 420 steps shows
    a network 10 dB worse than it is.

    The statistics are float32, and over the whole batch however many devices share it.

    Attributes:
        epsilon: Added to the variance.
        scale_init: Of the gain; the bias starts at zero.
        dtype: Of the output; statistics and parameters are float32.
    """

    epsilon: float = 1e-3
    scale_init: Initializer = nn.initializers.ones
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        """Normalises by this batch's statistics in training, by the moving ones otherwise."""
        norm = _Normalization(self.epsilon, self.scale_init, self.dtype, name="BatchNorm_0")
        return norm(x, train=train)


class _Normalization(nn.Module):
    """What `nn.BatchNorm` does, with the sums of `ctxenc.ops`; its variables have the same names.

    Flax's own takes 1.3 to 2.6 × as long on a CPU (`benchmarks/batch_norm.py`).
    """

    epsilon: float
    scale_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: Maps, *, train: bool) -> Maps:
        *pixels, channels = x.shape
        scale = self.param("scale", self.scale_init, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        moving = [
            self.variable("batch_stats", name, start, (channels,), jnp.float32)
            for name, start in (("mean", jnp.zeros), ("var", jnp.ones))
        ]
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean, variance = (statistic.value for statistic in moving)
        if train:
            count = prod(pixels)
            mean = over_pixels(x) / count
            variance = jnp.maximum(over_pixels(jnp.square(x)) / count - jnp.square(mean), 0)
            if not self.is_initializing():
                for statistic, new in zip(moving, (mean, variance), strict=True):
                    statistic.value = MOMENTUM * statistic.value + (1 - MOMENTUM) * new
        factor = scale * lax.rsqrt(variance + self.epsilon)
        y = (x - to_pixels(mean, x)) * to_pixels(factor, x) + to_pixels(bias, x)
        return y.astype(self.dtype)


def check_widths(key: str, widths: Sequence[int], count: int | None = None) -> None:
    """Refuses a list of channels that is empty, has one below 1, or not `count` of them."""
    if not widths or min(widths) < 1 or count not in (None, len(widths)):
        numbers = "one or more" if count is None else str(count)
        raise UserError(f"{key}={list(widths)}: expected {numbers} numbers, each 1 or more")
