"""Convolutions that are fast on every platform.

On a GPU or TPU they are `lax`'s own. On CPU, where XLA's convolutions are several times slower
than its matrix products, they become matrix products. The choice is made when a program is lowered
for its platform, so checkpoints and code move freely between platforms.
"""

from collections.abc import Sequence
from functools import partial

from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops import matmul

Padding = str | Sequence[tuple[int, int]]

LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int = 1,
    padding: Padding = "SAME",
) -> Float[Array, "batch out_height out_width features"]:
    """Convolves as `lax.conv_general_dilated` does with these strides and this padding.

    Args:
        x: The input, channels last.
        kernel: The weights.
        stride: The step between output positions, in pixels, in both directions.
        padding: "SAME", "VALID", or the pixels of zeros before and after (height, width).

    Returns:
        The output, in the dtype of `x`.
    """
    pads = _explicit(x.shape[1:3], kernel.shape[:2], stride, padding)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=partial(matmul.conv, stride=stride, pads=pads),
        default=partial(
            lax.conv_general_dilated,
            window_strides=(stride, stride),
            padding=pads,
            dimension_numbers=LAYOUT,
        ),
    )


def conv_transpose(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int = 1,
    padding: Padding = "SAME",
) -> Float[Array, "batch out_height out_width features"]:
    """Up-convolves as `lax.conv_transpose` does with these strides and this padding.

    Args:
        x: The input, channels last.
        kernel: The weights, neither flipped nor transposed, as `lax.conv_transpose` takes them.
        stride: Output pixels to one input pixel, in both directions.
        padding: "SAME" (output is `stride` times the input), "VALID" (all that the kernel
            reaches), or the zeros before and after the dilated input (height, width).

    Returns:
        The output, in the dtype of `x`.
    """
    if isinstance(padding, str):
        pads = tuple(_transpose_pads(size, stride, padding) for size in kernel.shape[:2])
    else:
        pads = tuple((low, high) for low, high in padding)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=partial(matmul.conv_transpose, stride=stride, pads=pads),
        default=partial(
            lax.conv_transpose,
            strides=(stride, stride),
            padding=pads,
            dimension_numbers=LAYOUT,
        ),
    )


def _explicit(
    shape: Sequence[int], window: Sequence[int], stride: int, padding: Padding
) -> tuple[tuple[int, int], ...]:
    """Padding by name or by numbers -> zeros before and after each axis."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(shape, window, (stride, stride), padding)
    return tuple((int(low), int(high)) for low, high in padding)


def _transpose_pads(window: int, stride: int, padding: str) -> tuple[int, int]:
    """Zeros around the dilated input, as `lax.conv_transpose` counts them."""
    if padding == "SAME":
        total = window + stride - 2
        low = window - 1 if stride > window - 1 else -(-total // 2)
    elif padding == "VALID":
        total = window + stride - 2 + max(window - stride, 0)
        low = window - 1
    else:
        raise ValueError(f"padding={padding!r}: takes 'SAME', 'VALID' or pairs of numbers")
    return low, total - low
