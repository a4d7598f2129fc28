"""Convolutions as matrix products, for platforms whose convolutions are slow.

A convolution with stride s is one with stride 1 over s×s blocks of pixels, each block one long
pixel; what is left is, with no padding,

    output[i, j] = sum over a, b of image[i + a, j + b] @ kernel[a, b]

An up-convolution is the transpose of a convolution. Only the convolution is written here: its
transpose and all gradients are JAX's. They are fast because all that surrounds the products has a
transpose that is cheap on CPU: reshaping, splitting, stacking and padding, but no slices with
strides. Products are given to XLA as plain matrices, because for more axes it moves whole operands
into another order first.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops import bfloat16, winograd

Images = Float[Array, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width features"]
Kernel = Float[Array, "rows columns channels features"]
Strides = Sequence[int]
Pads = Sequence[tuple[int, int]]

FEWEST_CHANNELS = 32
"""With fewer channels the additions of `winograd` cost more than the products that they save."""

LEAST_ODD = 7
"""Outputs along a side from which an odd number of them are computed as one more."""


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


def conv_transpose(x: Images, kernel: Kernel, *, strides: Strides, pads: Pads) -> Outputs:
    """`lax.conv_transpose` with explicit padding, computed in float32.

    It is the transpose of the convolution with the kernel turned round.
    """
    window = kernel.shape[:2]
    back = [
        (taps - 1 - low, taps - 1 - high) for taps, (low, high) in zip(window, pads, strict=True)
    ]
    size = [
        (size - 1) * stride + taps - sum(pad)
        for size, stride, taps, pad in zip(x.shape[1:3], strides, window, back, strict=True)
    ]
    turned = lax.rev(kernel.astype(jnp.float32), (0, 1))
    # Not by `linear_transpose`, which `bfloat16.product` has no rule for. Being linear, it has the
    # same transpose anywhere.
    anywhere = jnp.zeros((x.shape[0], *size, kernel.shape[3]))
    _, transpose = jax.vjp(lambda y: _conv(y, turned, strides, back, flip=True), anywhere)
    return transpose(x.astype(jnp.float32))[0].astype(x.dtype)


def _conv(
    x: Images,
    kernel: Float[Array, "rows columns _ _"],
    strides: Strides,
    pads: Pads,
    flip: bool = False,
) -> Outputs:
    """The convolution; with `flip` the kernel's matrices are (features, channels).

    So both a convolution and an up-convolution use their kernels as they lie in memory.
    """
    (rows, columns, *matrix), (down, right) = kernel.shape, strides
    spatial = []
    for size, taps, stride, (low, high) in zip(
        x.shape[1:3], (rows, columns), strides, pads, strict=True
    ):
        outputs = (size + low + high - taps) // stride + 1
        length = stride * (outputs - 1 - -taps // stride)  # of all that the windows reach
        spatial.append((low, length - size - low, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])
    b, h, w, c = x.shape
    x = x.reshape(b, h // down, down, w // right, right, c)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // down, w // right, -1)

    kernel = jnp.pad(kernel, ((0, -rows % down), (0, -columns % right), (0, 0), (0, 0)))
    rows, columns = -(-rows // down), -(-columns // right)  # of blocks
    kernel = kernel.reshape(rows, down, columns, right, *matrix)
    if flip:
        kernel = kernel.transpose(0, 2, 4, 1, 3, 5).reshape(rows, columns, matrix[0], -1)
    else:
        kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(rows, columns, -1, matrix[1])

    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    even = height % 2 == width % 2 == 0
    wide = min(kernel.shape[2:]) >= FEWEST_CHANNELS
    if {rows, columns} <= {2, 3} and wide and (even or min(height, width) >= LEAST_ODD):
        x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        y = winograd.correlate(x, kernel, lambda tile, part: _product(tile, part, flip))
        return y[:, :height, :width]
    # From the last tap to the first, so that gradients are summed from the first to the last.
    corners = [(a, b) for a in reversed(range(rows)) for b in reversed(range(columns))]
    shifted = [x[:, a : a + height, b : b + width] for a, b in corners]
    if flip:
        joined = kernel.transpose(2, 0, 1, 3).reshape(matrix[0], -1)
    else:
        joined = kernel.reshape(-1, matrix[1])
    return _product(jnp.concatenate(shifted[::-1], axis=-1), joined, flip)


def _product(
    x: Float[Array, "batch height width from"], matrix: Float[Array, "_ _"], flip: bool
) -> Float[Array, "batch height width to"]:
    """Every pixel times the matrix, or times its transpose."""
    flat = x.reshape(-1, x.shape[-1])
    if jax.config.jax_default_matmul_precision == "bfloat16":  # type: ignore[attr-defined]
        y = bfloat16.product(flat, matrix, flip)
    else:
        y = lax.dot_general(flat, matrix, (((1,), (1 if flip else 0,)), ((), ())))
    return y.reshape(*x.shape[:-1], -1)
