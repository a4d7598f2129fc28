"""Convolutions as matrix products, for platforms whose convolutions are slow.

A convolution with stride s is a convolution with stride 1 over s×s blocks of pixels, each block
one long pixel; an up-convolution is the same thing backwards. What is left is a convolution with
stride 1 and no padding, or its transpose.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops.stride_one import to_image, to_output

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
    seen = _blocks(x, kernel.shape[:2], strides, pads)
    blocks = _kernel_blocks(kernel, strides, flip=False)
    if seen.shape[1:3] == blocks.shape[:2]:  # one pixel is made of all
        matrix = blocks.reshape(-1, blocks.shape[3])
        return (seen.reshape(seen.shape[0], -1) @ matrix)[:, None, None]
    return to_output(seen, blocks, flip=False)


def conv_transpose(x: Images, kernel: Kernel, *, strides: Strides, pads: Pads) -> Outputs:
    """`lax.conv_transpose` with explicit padding, computed in float32.

    It is the transpose of the convolution with the kernel turned round.
    """
    x32, kernel32, window = x.astype(jnp.float32), kernel.astype(jnp.float32), kernel.shape[:2]
    turned = tuple(strides) == (1, 1)  # then turning the images is cheaper
    if turned:
        x32, pads = lax.rev(x32, (1, 2)), [(high, low) for low, high in pads]
    else:
        kernel32 = lax.rev(kernel32, (0, 1))
    size = [
        (size - 1) * stride + 1 + sum(pad) - (taps - 1)
        for size, taps, stride, pad in zip(x.shape[1:3], window, strides, pads, strict=True)
    ]
    back = [(n - 1 - low, n - 1 - high) for n, (low, high) in zip(window, pads, strict=True)]
    blocks = partial(_blocks, window=window, strides=strides, pads=back)
    like = jax.ShapeDtypeStruct((x.shape[0], *size, kernel.shape[3]), jnp.float32)
    cut = _kernel_blocks(kernel32, strides, flip=True)
    image = _from_pixel(x32, cut) if x.shape[1:3] == (1, 1) else to_image(x32, cut, flip=True)
    (y,) = jax.linear_transpose(blocks, like)(image)
    return (lax.rev(y, (1, 2)) if turned else y).astype(x.dtype)


# A 1×1 map has kernels as large as a network's bottleneck makes them: reordering one costs more
# than its product, so here the taps are a batch of products, in the order they lie in.


def _from_pixel(x: Float[Array, "batch 1 1 channels"], kernel: Kernel) -> Outputs:
    rows, columns, *matrix = kernel.shape
    taps = _taps(x[:, 0, 0], kernel.reshape(-1, *matrix))
    return taps.swapaxes(0, 1).reshape(x.shape[0], rows, columns, -1)


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


def _blocks(x: Images, window: Sequence[int], strides: Strides, pads: Pads) -> Blocks:
    """All that a convolution sees of its padded input, each block of pixels made one."""
    spatial = []
    for size, taps, stride, (low, high) in zip(x.shape[1:3], window, strides, pads, strict=True):
        outputs = (size + low + high - taps) // stride + 1
        length = stride * (outputs - 1 - -taps // stride)
        spatial.append((low, length - size - low, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])
    (b, h, w, c), (down, right) = x.shape, strides
    x = x.reshape(b, h // down, down, w // right, right, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // down, w // right, -1)


def _kernel_blocks(
    kernel: Kernel, strides: Strides, *, flip: bool
) -> Float[Array, "block_rows block_columns from to"]:
    """Cuts a kernel into blocks, with zeros where it does not fill the last.

    A block's pixels go to the channels, or with `flip`, of a transposed kernel, to the features.
    """
    (rows, columns, channels, features), (down, right) = kernel.shape, strides
    i, j = -(-rows // down), -(-columns // right)
    kernel = jnp.pad(kernel, ((0, -rows % down), (0, -columns % right), (0, 0), (0, 0)))
    kernel = kernel.reshape(i, down, j, right, channels, features)
    if flip:
        return kernel.transpose(0, 2, 4, 1, 3, 5).reshape(i, j, channels, -1)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(i, j, -1, features)
