"""Winograd's way: convolutions with 2×2 and 3×3 kernels by fewer products (Lavin and Gray, 2016).

In one dimension, two outputs of a two-tap kernel (g0, g1) over three inputs (d0, d1, d2) are

    y0 = d0 g0 + d1 g1 = (d0 - d1) g0 + d1 (g0 + g1)
    y1 = d1 g0 + d2 g1 =                d1 (g0 + g1) + (d2 - d1) g1

three products where there were four, and those of a three-tap kernel over four inputs are

    y0 = d0 g0 + d1 g1 + d2 g2 = (d0 - d2) g0 + (d1 + d2) s + (d2 - d1) t
    y1 = d1 g0 + d2 g1 + d3 g2 =                (d1 + d2) s - (d2 - d1) t - (d1 - d3) g2

with s = (g0 + g1 + g2) / 2 and t = (g0 - g1 + g2) / 2: four where there were six. In two dimensions
that is 9 for 16, and 16 for 36. Each pixel is a vector of channels, so each product is one of
matrices. Only additions and halves surround it, so float32 stays about as exact as it was.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]
Product = Callable[[Array, Array], Array]
"""Every pixel of the first times the matrix that is the second."""


class _Axis(NamedTuple):
    """How one axis is cut, and joined again: parts of the image, of the kernel, and outputs."""

    image: Callable[[Array, int], Sequence[Array]]
    kernel: Callable[[Array], Sequence[Array]]
    outputs: Callable[[Sequence[Array]], tuple[Array, Array]]


def correlate(
    image: Images, kernel: Float[Array, "rows columns _ _"], product: Product
) -> Float[Array, "batch even_height even_width features"]:
    """The sum over taps a, b of ``product(image[i + a, j + b], kernel[a, b])``, for all i and j.

    Args:
        image: With all that the kernel reaches, and no more.
        kernel: A matrix for each of its two or three rows and columns.
        product: What a pixel's channels and a matrix make; it must be linear in both.

    Returns:
        An even number of outputs along both axes.
    """
    down, right = (_AXES[taps] for taps in kernel.shape[:2])
    tiles = [part for row in down.image(image, 1) for part in right.image(row, 2)]
    matrices = [part for row in down.kernel(kernel) for part in right.kernel(row)]
    products = [product(*pair) for pair in zip(tiles, matrices, strict=True)]
    width = kernel.shape[1] + 1
    rows = [products[i : i + width] for i in range(0, len(products), width)]
    return _joined(down, [_joined(right, row, 2) for row in rows], 1)


def _joined(along: _Axis, products: Sequence[Array], axis: int) -> Array:
    y = jnp.stack(along.outputs(products), axis + 1)
    return y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])


def _pairs(image: Array, axis: int) -> tuple[Array, Array]:
    """What is at even and at odd places along one axis, whose length must be even."""
    shape = (*image.shape[:axis], -1, 2, *image.shape[axis + 1 :])
    even, odd = [half.squeeze(axis + 1) for half in jnp.split(image.reshape(shape), 2, axis + 1)]
    return even, odd


def _image_of_two(image: Array, axis: int) -> Sequence[Array]:
    size = image.shape[axis] // 2
    even, odd = _pairs(jnp.pad(image, [(0, int(n == axis)) for n in range(image.ndim)]), axis)
    d0, d1 = [lax.slice_in_dim(half, 0, size, axis=axis) for half in (even, odd)]
    d2 = lax.slice_in_dim(even, 1, size + 1, axis=axis)
    last = d2 - d1  # before `first`, whose gradient is then the first to be subtracted
    first = d0 - d1
    return first, d1, last


def _kernel_of_two(kernel: Array) -> Sequence[Array]:
    g0, g1 = [tap.squeeze(0) for tap in jnp.split(kernel, 2)]
    return g0, g0 + g1, g1


def _outputs_of_two(products: Sequence[Array]) -> tuple[Array, Array]:
    first, middle, last = products
    return first + middle, middle + last


def _image_of_three(image: Array, axis: int) -> Sequence[Array]:
    size = image.shape[axis] // 2 - 1
    even, odd = _pairs(image, axis)
    d0, d1 = [lax.slice_in_dim(half, 0, size, axis=axis) for half in (even, odd)]
    d2, d3 = [lax.slice_in_dim(half, 1, size + 1, axis=axis) for half in (even, odd)]
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _kernel_of_three(kernel: Array) -> Sequence[Array]:
    g0, g1, g2 = [tap.squeeze(0) for tap in jnp.split(kernel, 3)]
    return g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2


def _outputs_of_three(products: Sequence[Array]) -> tuple[Array, Array]:
    first, second, third, last = products
    return first + second + third, second - third - last


_AXES = {
    2: _Axis(_image_of_two, _kernel_of_two, _outputs_of_two),
    3: _Axis(_image_of_three, _kernel_of_three, _outputs_of_three),
}
