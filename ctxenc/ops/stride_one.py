"""The convolution with stride 1 and no padding, and its transpose, as matrix products.

Both gradients of each are written by hand: what XLA makes of the transposes of slices and
concatenations is several times slower. Products are given to XLA as plain matrices, because for
more axes it moves whole operands into another order first.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops import winograd
from ctxenc.ops.winograd import Image, Output

Kernel = Float[Array, "rows columns from to"]


@jax.custom_vjp
def correlate(image: Image, kernel: Kernel) -> Output:
    """output[i, j] = sum over a, b of image[i + a, j + b] @ kernel[a, b]."""
    return _correlate(image, kernel, flip=False)


@jax.custom_vjp
def spread(output: Output, kernel: Kernel) -> Image:
    """image[i + a, j + b] = sum over a, b of output[i, j] @ kernel[a, b]."""
    return _spread(output, kernel, flip=False)


def _correlate_backward(saved: tuple[Image, Kernel], gradient: Output) -> tuple[Image, Kernel]:
    image, kernel = saved
    to_kernel = _kernel_gradient(image, gradient, kernel.shape, flip=False)
    return _spread(gradient, kernel, flip=True), to_kernel


def _spread_backward(saved: tuple[Output, Kernel], gradient: Image) -> tuple[Output, Kernel]:
    output, kernel = saved
    to_kernel = _kernel_gradient(gradient, output, kernel.shape, flip=True)
    return _correlate(gradient, kernel, flip=True), to_kernel


correlate.defvjp(lambda *operands: (correlate(*operands), operands), _correlate_backward)
spread.defvjp(lambda *operands: (spread(*operands), operands), _spread_backward)


# In what follows `flip` says that the products take the kernel's matrices transposed, so that each
# operation serves as the other's gradient with the kernel as it lies in memory.


def _correlate(image: Image, kernel: Kernel, *, flip: bool) -> Output:
    rows, columns = kernel.shape[:2]
    height, width = image.shape[1] - rows + 1, image.shape[2] - columns + 1
    if winograd.fits(kernel.shape, height, width):
        return winograd.correlate(image, kernel, partial(_product, flip=flip))
    return _product(_patches(image, rows, columns), _join_taps(kernel, 3 if flip else 2), flip=flip)


def _spread(output: Output, kernel: Kernel, *, flip: bool) -> Image:
    if winograd.fits(kernel.shape, *output.shape[1:3]):
        return winograd.spread(output, kernel, partial(_product, flip=flip))
    patches = _product(output, _join_taps(kernel, 2 if flip else 3), flip=flip)
    return _overlap_add(patches, *kernel.shape[:2])


def _kernel_gradient(image: Image, output: Output, shape: tuple[int, ...], *, flip: bool) -> Kernel:
    if winograd.fits(shape, *output.shape[1:3]):
        return winograd.kernel_gradient(image, output, partial(_outer, flip=flip))
    rows, columns, first, second = shape
    gradient = _outer(_patches(image, rows, columns), output, flip=flip)
    if flip:
        return gradient.reshape(first, rows, columns, second).transpose(1, 2, 0, 3)
    return gradient.reshape(shape)


def _product(
    x: Float[Array, "batch height width from"], matrix: Float[Array, "a b"], *, flip: bool
) -> Float[Array, "batch height width to"]:
    """Every pixel times the matrix, or times its transpose."""
    flat = x.reshape(-1, x.shape[-1])
    contracted = ((1,), (1 if flip else 0,))
    return lax.dot_general(flat, matrix, (contracted, ((), ()))).reshape(*x.shape[:-1], -1)


def _outer(
    x: Float[Array, "batch height width a"], y: Float[Array, "batch height width b"], *, flip: bool
) -> Float[Array, "from to"]:
    """The sum over pixels of the outer products, (a, b) or with `flip` (b, a)."""
    first, second = (y, x) if flip else (x, y)
    first, second = (z.reshape(-1, z.shape[-1]) for z in (first, second))
    return lax.dot_general(first, second, (((0,), (0,)), ((), ())))


def _join_taps(kernel: Kernel, axis: int) -> Float[Array, "a b"]:
    """One matrix of a kernel: its taps joined to its axis 2 or 3, as patches have them."""
    if axis == 2:
        return kernel.reshape(-1, kernel.shape[3])
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def _patches(
    image: Image, rows: int, columns: int
) -> Float[Array, "batch height width taps_depth"]:
    """All that a kernel of `rows` × `columns` sees at each position, side by side."""
    height, width = image.shape[1] - rows + 1, image.shape[2] - columns + 1
    taps = [image[:, a : a + height, b : b + width] for a in range(rows) for b in range(columns)]
    return jnp.concatenate(taps, -1)


def _overlap_add(
    patches: Float[Array, "batch height width taps_depth"], rows: int, columns: int
) -> Image:
    """The transpose of `_patches`."""
    taps = iter(jnp.split(patches, rows * columns, -1))
    image = jnp.zeros((), patches.dtype)
    for a in range(rows):
        for b in range(columns):
            around = ((0, 0), (a, rows - 1 - a), (b, columns - 1 - b), (0, 0))
            image = image + jnp.pad(next(taps), around)
    return image
