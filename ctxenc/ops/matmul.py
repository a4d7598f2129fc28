"""Convolutions as matrix products, for platforms whose convolutions are slow.

A convolution with stride s is a convolution with stride 1 over s×s blocks of pixels, each block
one long pixel; an up-convolution is the same thing backwards. What is left is one pair of
operations, each the other's transpose: `correlate` (stride 1, no padding) and `spread`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops.stride_one import correlate, spread

Pads = Sequence[tuple[int, int]]


def conv(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int,
    pads: Pads,
) -> Float[Array, "batch out_height out_width features"]:
    """`lax.conv_general_dilated` with explicit padding, computed in float32."""
    blocks = [-(-size // stride) for size in kernel.shape[:2]]
    out = [
        (size + low + high - window) // stride + 1
        for size, window, (low, high) in zip(x.shape[1:3], kernel.shape[:2], pads, strict=True)
    ]
    lengths = [stride * (o + b - 1) for o, b in zip(out, blocks, strict=True)]
    z = _resize(x.astype(jnp.float32), [low for low, _ in pads], lengths)
    y = correlate(space_to_depth(z, stride), _kernel_blocks(kernel.astype(jnp.float32), stride))
    return y.astype(x.dtype)


def conv_transpose(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int,
    pads: Pads,
) -> Float[Array, "batch out_height out_width features"]:
    """`lax.conv_transpose` with explicit padding, computed in float32."""
    x32, kernel32 = x.astype(jnp.float32), kernel.astype(jnp.float32)
    # `lax` slides the kernel over the dilated input; `spread` adds it at each input pixel: the
    # same, once the kernel is turned round. With stride 1, turning the images is cheaper.
    if stride == 1:
        full = lax.rev(spread(lax.rev(x32, (1, 2)), kernel32), (1, 2))
    else:
        blocks = _kernel_blocks(lax.rev(kernel32, (0, 1)), stride, phases_last=True)
        full = depth_to_space(spread(x32, blocks), stride)
    lows, lengths = [], []
    for size, window, (low, high) in zip(x.shape[1:3], kernel.shape[:2], pads, strict=True):
        lows.append(low - (window - 1))
        lengths.append((size - 1) * stride + 1 + low + high - window + 1)
    return _resize(full, lows, lengths).astype(x.dtype)


def space_to_depth(
    x: Float[Array, "batch height width channels"], stride: int
) -> Float[Array, "batch block_rows block_columns depth"]:
    """Makes each stride×stride block of pixels one pixel."""
    if stride == 1:
        return x
    b, h, w, c = x.shape
    x = x.reshape(b, h // stride, stride, w // stride, stride, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // stride, w // stride, -1)


def depth_to_space(
    x: Float[Array, "batch block_rows block_columns depth"], stride: int
) -> Float[Array, "batch height width channels"]:
    """Takes `space_to_depth` back."""
    if stride == 1:
        return x
    b, h, w, _ = x.shape
    x = x.reshape(b, h, w, stride, stride, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * stride, w * stride, -1)


def _kernel_blocks(
    kernel: Float[Array, "rows columns channels features"], stride: int, phases_last: bool = False
) -> Float[Array, "block_rows block_columns from to"]:
    """Cuts a kernel into stride×stride blocks, with zeros where it does not fill the last."""
    if stride == 1:
        return kernel
    rows, columns, channels, features = kernel.shape
    kernel = jnp.pad(kernel, ((0, -rows % stride), (0, -columns % stride), (0, 0), (0, 0)))
    i, j = kernel.shape[0] // stride, kernel.shape[1] // stride
    kernel = kernel.reshape(i, stride, j, stride, channels, features)
    if phases_last:
        return kernel.transpose(0, 2, 4, 1, 3, 5).reshape(i, j, channels, -1)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(i, j, -1, features)


def _resize(
    x: Float[Array, "batch height width channels"], lows: Sequence[int], lengths: Sequence[int]
) -> Float[Array, "batch new_height new_width channels"]:
    """Puts `low` zeros before each axis (negative: cuts) and makes it `length` long."""
    highs = [n - size - low for n, size, low in zip(lengths, x.shape[1:3], lows, strict=True)]
    spatial = [(low, high, 0) for low, high in zip(lows, highs, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])
