"""Convolutions as matrix products, for platforms whose convolutions are slow.

A convolution with stride s is a convolution with stride 1 over s×s blocks of pixels, each block
one long pixel; an up-convolution is the same thing backwards. What is left is one pair of
operations, each the other's transpose: `correlate` (stride 1, no padding) and `spread`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops.stride_one import correlate, spread

Images = Float[Array, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width features"]
Kernel = Float[Array, "rows columns channels features"]
Blocks = Float[Array, "batch block_rows block_columns depth"]
Strides = Sequence[int]
Pads = Sequence[tuple[int, int]]


def conv(
    x: Images,
    kernel: Float[Array, "rows columns group_channels features"],
    *,
    strides: Strides,
    pads: Pads,
    groups: int = 1,
) -> Outputs:
    """`lax.conv_general_dilated` with explicit padding, computed in float32."""
    cut = [jnp.split(whole.astype(jnp.float32), groups, axis=-1) for whole in (x, kernel)]
    parts = [_conv(a, b, strides, pads) for a, b in zip(*cut, strict=True)]
    return jnp.concatenate(parts, axis=-1).astype(x.dtype)


def _conv(x: Images, kernel: Kernel, strides: Strides, pads: Pads) -> Outputs:
    window, lows = kernel.shape[:2], [low for low, _ in pads]
    outputs = [
        (size + sum(pad) - taps) // stride + 1
        for size, taps, stride, pad in zip(x.shape[1:3], window, strides, pads, strict=True)
    ]
    if outputs == [1, 1]:
        seen = _resize(x, lows, window).reshape(len(x), -1)
        return (seen @ kernel.reshape(-1, kernel.shape[3]))[:, None, None]
    blocks = _kernel_blocks(kernel, strides)
    lengths = [
        stride * (count + more - 1)
        for stride, count, more in zip(strides, outputs, blocks.shape[:2], strict=True)
    ]
    return correlate(space_to_depth(_resize(x, lows, lengths), strides), blocks)


def conv_transpose(x: Images, kernel: Kernel, *, strides: Strides, pads: Pads) -> Outputs:
    """`lax.conv_transpose` with explicit padding, computed in float32."""
    x32, kernel32 = x.astype(jnp.float32), kernel.astype(jnp.float32)
    # `lax` slides the kernel over the dilated input; `spread` adds it at each input pixel: the
    # same, once the kernel is turned round. With stride 1, turning the images is cheaper.
    if x.shape[1:3] == (1, 1):
        full = lax.rev(_spread_pixel(x32, kernel32), (1, 2))
    elif tuple(strides) == (1, 1):
        full = lax.rev(spread(lax.rev(x32, (1, 2)), kernel32), (1, 2))
    else:
        blocks = _kernel_blocks(lax.rev(kernel32, (0, 1)), strides, phases_last=True)
        full = depth_to_space(spread(x32, blocks), strides)
    window = kernel.shape[:2]
    lows = [low - (taps - 1) for (low, _), taps in zip(pads, window, strict=True)]
    lengths = [
        (size - 1) * stride + 1 + sum(pad) - (taps - 1)
        for size, taps, stride, pad in zip(x.shape[1:3], window, strides, pads, strict=True)
    ]
    return _resize(full, lows, lengths).astype(x.dtype)


# A 1×1 map has kernels as large as a network's bottleneck makes them: reordering one costs more
# than its product, so here the taps are a batch of products, in the order they lie in.


def _spread_pixel(x: Float[Array, "batch 1 1 channels"], kernel: Kernel) -> Outputs:
    rows, columns, *matrix = kernel.shape
    taps = _taps(x[:, 0, 0], kernel.reshape(-1, *matrix))
    return taps.swapaxes(0, 1).reshape(len(x), rows, columns, -1)


@jax.custom_vjp
def _taps(
    pixels: Float[Array, "batch from"], matrices: Float[Array, "taps from to"]
) -> Float[Array, "taps batch to"]:
    """Every pixel times every tap's matrix."""
    return lax.dot_general(_repeat(pixels, matrices), matrices, (((2,), (1,)), ((0,), (0,))))


def _taps_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    pixels, matrices = saved
    # The large operand comes first: the second is the one that gets packed for the product.
    to_pixels = lax.dot_general(matrices, gradient, (((2,), (2,)), ((0,), (0,)))).sum(0).T
    repeated = _repeat(pixels, matrices)
    return to_pixels, lax.dot_general(repeated, gradient, (((1,), (1,)), ((0,), (0,))))


def _repeat(pixels: Array, matrices: Array) -> Float[Array, "taps batch from"]:
    return jnp.broadcast_to(pixels, (len(matrices), *pixels.shape))


_taps.defvjp(lambda *operands: (_taps(*operands), operands), _taps_backward)


def space_to_depth(x: Images, strides: Strides) -> Blocks:
    """Makes each block of pixels, as high and wide as the strides, one pixel."""
    (b, h, w, c), (down, right) = x.shape, strides
    x = x.reshape(b, h // down, down, w // right, right, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // down, w // right, -1)


def depth_to_space(x: Blocks, strides: Strides) -> Images:
    """The inverse of `space_to_depth`."""
    (b, h, w, _), (down, right) = x.shape, strides
    x = x.reshape(b, h, w, down, right, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * down, w * right, -1)


def _kernel_blocks(
    kernel: Kernel, strides: Strides, phases_last: bool = False
) -> Float[Array, "block_rows block_columns from to"]:
    """Cuts a kernel into blocks, with zeros where it does not fill the last."""
    (rows, columns, channels, features), (down, right) = kernel.shape, strides
    i, j = -(-rows // down), -(-columns // right)
    kernel = jnp.pad(kernel, ((0, -rows % down), (0, -columns % right), (0, 0), (0, 0)))
    kernel = kernel.reshape(i, down, j, right, channels, features)
    if phases_last:
        return kernel.transpose(0, 2, 4, 1, 3, 5).reshape(i, j, channels, -1)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(i, j, -1, features)


def _resize(
    x: Images, lows: Sequence[int], lengths: Sequence[int]
) -> Float[Array, "batch new_height new_width channels"]:
    """Puts `low` zeros before each axis (negative: cuts) and makes it `length` long."""
    highs = [n - size - low for n, size, low in zip(lengths, x.shape[1:3], lows, strict=True)]
    spatial = [(low, high, 0) for low, high in zip(lows, highs, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])
