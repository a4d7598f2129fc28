"""The convolution with stride 1 and no padding, and its two gradients, as matrix products.

    output[i, j] = sum over a, b of image[i + a, j + b] @ kernel[a, b]

Each of the three functions here makes one of these arrays from the two others, and the gradients of
each are the two others: what XLA makes of the transposes of slices and concatenations is several
times slower. Products are given to XLA as plain matrices, because for more axes it moves whole
operands into another order first.

With `flip` the kernel's matrices are (features, depth) in place of (depth, features), so that both
a convolution and an up-convolution use their kernels as they lie in memory.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops import winograd
from ctxenc.ops.winograd import Image, Output

Kernel = Float[Array, "rows columns from to"]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def to_output(image: Image, kernel: Kernel, flip: bool) -> Output:
    """The convolution."""
    rows, columns = kernel.shape[:2]
    height, width = image.shape[1] - rows + 1, image.shape[2] - columns + 1
    if winograd.fits(kernel.shape, height, width):
        return winograd.to_output(image, kernel, partial(_product, flip=flip))
    return _product(_patches(image, rows, columns), _joined(kernel, flip), flip=flip)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def to_image(output: Output, kernel: Kernel, flip: bool) -> Image:
    """Its gradient of the image."""
    if winograd.fits(kernel.shape, *output.shape[1:3]):
        return winograd.to_image(output, kernel, partial(_product, flip=not flip))
    patches = _product(output, _joined(kernel, flip), flip=not flip)
    return _overlap_add(patches, *kernel.shape[:2])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def to_kernel(image: Image, output: Output, shape: tuple[int, ...], flip: bool) -> Kernel:
    """Its gradient of the kernel, which is of this shape."""
    if winograd.fits(shape, *output.shape[1:3]):
        return winograd.to_kernel(image, output, partial(_outer, flip=flip))
    rows, columns, first, second = shape
    gradient = _outer(_patches(image, rows, columns), output, flip=flip)
    if flip:
        return gradient.reshape(first, rows, columns, second).transpose(1, 2, 0, 3)
    return gradient.reshape(shape)


to_output.defvjp(
    lambda image, kernel, flip: (to_output(image, kernel, flip), (image, kernel)),
    lambda flip, saved, gradient: (
        to_image(gradient, saved[1], flip),
        to_kernel(saved[0], gradient, saved[1].shape, flip),
    ),
)
to_image.defvjp(
    lambda output, kernel, flip: (to_image(output, kernel, flip), (output, kernel)),
    lambda flip, saved, gradient: (
        to_output(gradient, saved[1], flip),
        to_kernel(gradient, saved[0], saved[1].shape, flip),
    ),
)
to_kernel.defvjp(
    lambda image, output, shape, flip: (to_kernel(image, output, shape, flip), (image, output)),
    lambda shape, flip, saved, gradient: (
        to_image(saved[1], gradient, flip),
        to_output(saved[0], gradient, flip),
    ),
)


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


def _joined(kernel: Kernel, flip: bool) -> Float[Array, "a b"]:
    """One matrix of a kernel: its taps joined to its depth, as patches have them."""
    if flip:
        return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)
    return kernel.reshape(-1, kernel.shape[3])


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
