"""Convolutions written so that XLA finds cuDNN's fastest kernels for them on a GPU.

XLA gives a convolution to cuDNN as it stands. An up-convolution would then be an ordinary one over
an image that zeros have made four times as large. cuDNN's own is the gradient of a strided
convolution by its input, and XLA takes that for a convolution of a dilated image whose kernel was
turned round (its ConvRewriter); so the up-convolution is put like that here, and its gradients are
put as the other two kinds. Where a window is as large as the whole image, what is left is a product
of two matrices, which needs no cuDNN.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width features"]
Kernel = Float[Array, "rows columns channels features"]
Pads = tuple[tuple[int, int], ...]

LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Images,
    kernel: Float[Array, "rows columns group_channels features"],
    *,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    groups: int = 1,
    precision: Any = None,
) -> Outputs:
    """`lax.conv_general_dilated` with explicit padding."""
    if groups == 1 and x.shape[1:3] == kernel.shape[:2] and not any(map(any, pads)):
        flat = x.reshape(x.shape[0], -1), kernel.reshape(-1, kernel.shape[3])
        return lax.dot(*flat, precision=precision)[:, None, None]
    options = {"dimension_numbers": LAYOUT, "feature_group_count": groups, "precision": precision}
    return lax.conv_general_dilated(x, kernel, strides, pads, **options)


def conv_transpose(
    x: Images, kernel: Kernel, *, strides: Sequence[int], pads: Sequence[tuple[int, int]]
) -> Outputs:
    """`lax.conv_transpose` with explicit padding."""
    window = kernel.shape[:2]
    reaches = zip(window, strides, pads, strict=True)
    if x.shape[1:3] == (1, 1) and all(
        pad == (taps - 1, taps - 1) and stride <= taps for taps, stride, pad in reaches
    ):
        by_channels = ((1,), (2,)), ((), ())
        return lax.dot_general(x[:, 0, 0], lax.rev(kernel, (0, 1)), by_channels)
    return _conv_transpose(x, kernel, tuple(strides), tuple(map(tuple, pads)))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_transpose(x: Images, kernel: Kernel, strides: tuple[int, ...], pads: Pads) -> Outputs:
    # Behind a barrier, or XLA would turn it round twice, which is not at all.
    turned = lax.optimization_barrier(_turned(kernel))
    _, back = jax.vjp(
        lambda y: _downward(y, turned, strides, pads), _blank(x, kernel, strides, pads)
    )
    return back(x)[0]


def _turned(kernel: Float[Array, "rows columns a b"]) -> Float[Array, "rows columns b a"]:
    """The kernel of the convolution of which the up-convolution is the transpose; and back."""
    return lax.rev(kernel, (0, 1)).swapaxes(2, 3)


def _downward(
    y: Outputs,
    turned: Float[Array, "rows columns features channels"],
    strides: tuple[int, ...],
    pads: Pads,
) -> Images:
    """That convolution."""
    window = turned.shape[:2]
    back = [
        (taps - 1 - low, taps - 1 - high) for taps, (low, high) in zip(window, pads, strict=True)
    ]
    return lax.conv_general_dilated(y, turned, strides, back, dimension_numbers=LAYOUT)


def _blank(x: Images, kernel: Kernel, strides: tuple[int, ...], pads: Pads) -> Outputs:
    """Zeros of the output's shape, for a linear function's transpose."""
    height, width = (
        (size - 1) * stride + 1 + sum(pad) - (taps - 1)
        for size, stride, pad, taps in zip(x.shape[1:3], strides, pads, kernel.shape, strict=False)
    )
    return jax.numpy.zeros((x.shape[0], height, width, kernel.shape[3]), x.dtype)


def _forward(
    x: Images, kernel: Kernel, strides: tuple[int, ...], pads: Pads
) -> tuple[Outputs, tuple[Images, Kernel]]:
    return _conv_transpose(x, kernel, strides, pads), (x, kernel)


def _backward(
    strides: tuple[int, ...], pads: Pads, saved: tuple[Images, Kernel], slope: Outputs
) -> tuple[Images, Kernel]:
    x, kernel = saved
    turned = _turned(kernel)
    by_x, back = jax.vjp(lambda kernel: _downward(slope, kernel, strides, pads), turned)
    return by_x, _turned(back(x)[0])


_conv_transpose.defvjp(_forward, _backward)
