"""Convolutions, and sums over pixels, that are fast on every platform: the functions here.

On a TPU convolutions are `lax`'s own. On CPU, where XLA's are several times slower than its matrix
products, they become matrix products, in `matmul`; on a GPU `cudnn` puts them so that XLA finds the
right kernels. `platforms` chooses, when a program is traced; checkpoints and code move freely
between platforms.
On CPU, under ``jax.default_matmul_precision("bfloat16")``, the products' operands are rounded.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops import cudnn, matmul
from ctxenc.ops.platforms import fastest
from ctxenc.ops.sums import over_pixels, to_pixels

__all__ = [
    "LAYOUT",
    "Padding",
    "conv_general_dilated",
    "conv_transpose",
    "over_pixels",
    "to_pixels",
]

Padding = str | Sequence[tuple[int, int]]

LAYOUT = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
"""Images are (batch, height, width, channels), kernels (rows, columns, channels, features)."""


def conv_general_dilated(
    lhs: Float[Array, "..."],
    rhs: Float[Array, "..."],
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> Float[Array, "..."]:
    """`lax.conv_general_dilated`, as Flax's `nn.Conv(conv_general_dilated=…)` calls it.

    The products of the CPU are for two-dimensional convolutions in `LAYOUT` without dilation; all
    others are `lax`'s there too. They are computed in float32 whatever the `precision`, unless
    JAX's default one is bfloat16.

    Args:
        lhs: The images, (batch, height, width, channels).
        rhs: The kernel, (rows, columns, channels / feature_group_count, features).
        window_strides: The steps between output positions, in pixels: (down, right).
        padding: "SAME", "VALID", or the zeros before and after: ((top, bottom), (left, right)).
        lhs_dilation: As for `lax`, and so the rest.
        rhs_dilation: Likewise.
        dimension_numbers: `LAYOUT`, or ("NHWC", "HWIO", "NHWC"), for these shapes.
        feature_group_count: Into how many groups the channels are cut; each sees its own only.
        precision: Of the products on accelerators.

    Returns:
        (batch, out_height, out_width, features), in the dtype of `lhs`.
    """
    otherwise = partial(
        lax.conv_general_dilated,
        window_strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=feature_group_count,
        precision=precision,
    )
    dilations = {*(lhs_dilation or ()), *(rhs_dilation or ())}
    if dilations - {1} or dimension_numbers not in (LAYOUT, ("NHWC", "HWIO", "NHWC")):
        return otherwise(lhs, rhs)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
    options: Any = {"strides": window_strides, "pads": padding, "groups": feature_group_count}
    products = partial(matmul.conv, **options)
    on_gpu = partial(cudnn.conv, **options, precision=precision)
    return fastest(lhs, rhs, cpu=products, cuda=on_gpu, default=otherwise)


def conv_transpose(
    lhs: Float[Array, "batch height width channels"],
    rhs: Float[Array, "rows columns channels features"],
    strides: Sequence[int],
    padding: Padding,
) -> Float[Array, "batch out_height out_width features"]:
    """`lax.conv_transpose`, in `LAYOUT`.

    Args:
        lhs: The images.
        rhs: The kernel, neither flipped nor transposed.
        strides: Output pixels to one input pixel: (down, right).
        padding: "SAME" (the output is `strides` times the input), "VALID" (all that the kernel
            reaches), or the zeros around the dilated input: ((top, bottom), (left, right)).

    Returns:
        The output, in the dtype of `lhs`.
    """
    if isinstance(padding, str):
        windows = zip(rhs.shape[:2], strides, strict=True)
        padding = [_transpose_pads(window, stride, padding) for window, stride in windows]
    products = partial(matmul.conv_transpose, strides=strides, pads=padding)
    on_gpu = partial(cudnn.conv_transpose, strides=strides, pads=padding)
    otherwise = partial(
        lax.conv_transpose, strides=strides, padding=padding, dimension_numbers=LAYOUT
    )
    return fastest(lhs, rhs, cpu=products, cuda=on_gpu, default=otherwise)


def _transpose_pads(window: int, stride: int, padding: str) -> tuple[int, int]:
    """The zeros around the dilated input, as `lax.conv_transpose` counts them."""
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding={padding!r}: expected 'SAME', 'VALID' or pairs of numbers")
    if padding == "VALID":
        return window - 1, max(stride, window) - 1
    total = window + stride - 2
    low = window - 1 if stride > window - 1 else -(-total // 2)
    return low, total - low
