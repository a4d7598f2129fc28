"""Winograd's trick for 2×2 kernels: 9 matrix products in place of 16, for 2×2 outputs at a time.

In one dimension, two outputs of a two-tap kernel (g0, g1) over three inputs (d0, d1, d2) are

    y0 = d0 g0 + d1 g1 = (d0 - d1) g0 + d1 (g0 + g1)
    y1 = d1 g0 + d2 g1 =                d1 (g0 + g1) + (d2 - d1) g1

three products where there were four; in two dimensions 9 for 16 (Winograd 1980; Lavin and Gray
2016). Each pixel is a long vector, so each product is a matrix product. Only additions surround
it, so float32 stays as exact as it was. The same 9 products, read backwards, give both gradients:
each operand is cut into 9 parts, row by row, and the result joined from 9.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# Below this many channels the additions cost more than the products that they save.
FEWEST_CHANNELS = 32

Image = Float[Array, "batch image_height image_width depth"]
Output = Float[Array, "batch height width features"]
Kernel = Float[Array, "2 2 from to"]
Product = Callable[[Array, Array], Array]


def fits(kernel_shape: tuple[int, ...], height: int, width: int) -> bool:
    """Whether a kernel and the size of its output suit the trick."""
    rows, columns, *channels = kernel_shape
    even = height % 2 == 0 and width % 2 == 0
    return (rows, columns) == (2, 2) and even and min(channels) >= FEWEST_CHANNELS


def to_output(image: Image, kernel: Kernel, product: Product) -> Output:
    """The output from the products of the parts of image and kernel."""
    return _join(_join_outputs, list(map(product, _cut(_cut_inputs, image), _cut_kernel(kernel))))


def to_image(output: Output, kernel: Kernel, product: Product) -> Image:
    """The image from the products of the parts of output and kernel."""
    return _join(_join_inputs, list(map(product, _cut(_cut_outputs, output), _cut_kernel(kernel))))


def to_kernel(image: Image, output: Output, product: Product) -> Kernel:
    """The kernel from the products of the parts of image and output."""
    parts = list(map(product, _cut(_cut_inputs, image), _cut(_cut_outputs, output)))
    return _join_taps([_join_taps(parts[i : i + 3]) for i in (0, 3, 6)])


def _cut(cut: Callable[[Array, int], tuple[Array, ...]], x: Array) -> list[Array]:
    return [part for row in cut(x, 1) for part in cut(row, 2)]


def _join(join: Callable[[list[Array], int], Array], parts: list[Array]) -> Array:
    return join([join(parts[i : i + 3], 2) for i in (0, 3, 6)], 1)


def _cut_kernel(kernel: Kernel) -> list[Float[Array, "from to"]]:
    rows = (kernel[0], kernel[0] + kernel[1], kernel[1])
    return [part for row in rows for part in (row[0], row[0] + row[1], row[1])]


def _join_taps(parts: list[Array]) -> Array:
    """The transpose of (g0, g0 + g1, g1)."""
    first, middle, last = parts
    return jnp.stack([first + middle, middle + last])


def _cut_inputs(d: Array, axis: int) -> tuple[Array, Array, Array]:
    """Tiles of three inputs, two apart, along one axis -> (d0 - d1, d1, d2 - d1)."""
    d0, d1, d2 = (lax.slice_in_dim(d, n, d.shape[axis] - 2 + n, 2, axis) for n in range(3))
    return d0 - d1, d1, d2 - d1


def _join_inputs(parts: list[Array], axis: int) -> Array:
    """The transpose of `_cut_inputs`: neighbouring tiles overlap in one input, and add there."""
    first, middle, last = parts
    even = _pad(first, 0, 1, axis) + _pad(last, 1, 0, axis)
    odd = _pad(middle - first - last, 0, 1, axis)
    both = _interleave(even, odd, axis)
    return lax.slice_in_dim(both, 0, both.shape[axis] - 1, 1, axis)


def _cut_outputs(y: Array, axis: int) -> tuple[Array, Array, Array]:
    """The transpose of `_join_outputs`: (y0, y1) -> (y0, y0 + y1, y1)."""
    y0 = lax.slice_in_dim(y, 0, None, 2, axis)
    y1 = lax.slice_in_dim(y, 1, None, 2, axis)
    return y0, y0 + y1, y1


def _join_outputs(parts: list[Array], axis: int) -> Array:
    """Products -> (y0, y1), side by side along one axis."""
    first, middle, last = parts
    return _interleave(first + middle, middle + last, axis)


def _interleave(even: Array, odd: Array, axis: int) -> Array:
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def _pad(x: Array, low: int, high: int, axis: int) -> Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (low, high)
    return jnp.pad(x, widths)
