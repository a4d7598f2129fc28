"""The layers the networks are made of: parameters around the convolutions."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jaxtyping import Array, Float

from ctxenc.ops.convolution import Padding, conv, conv_transpose

GAUSSIAN: Initializer = nn.initializers.normal(0.02)
GLOROT: Initializer = nn.initializers.glorot_uniform()


class Conv(nn.Module):
    """A convolution plus bias.

    Attributes:
        features: Channels of the output.
        window: Height and width of the kernel.
        stride: The step between output positions, in pixels.
        padding: As `ctxenc.ops.convolution.conv` takes it.
        groups: The input's and the output's channels are cut into so many equal groups, each of
            which sees its own only.
        use_bias: Whether a bias is added.
        kernel_init: Where the weights start; the bias starts at zero.
        dtype: Of the computation; the parameters are float32.
    """

    features: int
    window: tuple[int, int] = (4, 4)
    stride: int = 2
    padding: Padding = "SAME"
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = GAUSSIAN
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch out_height out_width features"]:
        """Convolves."""
        shape = (*self.window, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        parts = zip(
            jnp.split(x.astype(self.dtype), self.groups, axis=-1),
            jnp.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        outputs = [conv(a, b, stride=self.stride, padding=self.padding) for a, b in parts]
        y = outputs[0] if self.groups == 1 else jnp.concatenate(outputs, axis=-1)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y + bias.astype(self.dtype)


class ConvTranspose(nn.Module):
    """An up-convolution plus bias; the attributes are those of `Conv`."""

    features: int
    window: tuple[int, int] = (4, 4)
    stride: int = 2
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = GAUSSIAN
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch out_height out_width features"]:
        """Up-convolves."""
        kernel = self.param(
            "kernel", self.kernel_init, (*self.window, x.shape[-1], self.features), jnp.float32
        )
        y = conv_transpose(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
        )
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y + bias.astype(self.dtype)


class ChannelwiseDense(nn.Module):
    """Connects every position to every position within each channel, and no channel to another.

    Each channel's map goes through a matrix of its own, plus bias (Pathak et al. 2016, section
    3.1): channels * (h * w) * (h' * w') weights, where a dense layer takes channels² times as many
    as one channel. Its kernel is (channels, h * w, h' * w').

    Attributes:
        output_size: Height and width of the new maps.
        dtype: Of the computation; the parameters are float32.
    """

    output_size: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch out_height out_width channels"]:
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

    Keras's momentum, 0.99, is what the TensorFlow original has. It forgets the moving variance's start, 1, so
    slowly (initial activations have variances near 0.01) that after 420 steps a test with it shows
    a network 10 dB worse than it is.

    The statistics are float32, and over the whole batch however many devices share it.

    Attributes:
        epsilon: Added to the variance.
        scale_init: Where the gain starts; the bias starts at zero.
        dtype: Of the output; statistics and parameters are float32.
    """

    epsilon: float = 1e-3
    scale_init: Initializer = nn.initializers.ones
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch height width channels"]:
        """Normalises by this batch's statistics in training, by the moving ones otherwise."""
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=self.epsilon,
            scale_init=self.scale_init,
            dtype=self.dtype,
        )
        return norm(x)


def constrained(
    layer: nn.Module,
    x: Float[Array, "batch *size channels"],
    *,
    spectral_norm: bool,
    train: bool,
) -> Float[Array, "batch *out_size features"]:
    """What a layer makes of `x`, with `spectral_norm` after spectral normalisation.

    Then the layer's kernel, as a matrix from (rows, columns, channels) to features, is divided by
    its largest singular value (Miyato et al., 2018), which one power iteration a training pass
    follows. Its vector is kept among the "batch_stats".
    """
    return nn.SpectralNorm(layer)(x, update_stats=train) if spectral_norm else layer(x)
