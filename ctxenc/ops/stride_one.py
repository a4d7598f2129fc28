"""The convolution with stride 1 and no padding, and its transpose, as matrix products.

Both gradients of each are written by hand: what XLA makes of the transposes of slices and
concatenations is several times slower. Products are given to XLA as plain matrices, because for
more axes it moves whole operands into another order first.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ctxenc.ops import winograd

Image = Float[Array, "batch image_height image_width depth"]
Output = Float[Array, "batch height width features"]
Window = tuple[int, ...]


@jax.custom_vjp
def correlate(image: Image, kernel: Float[Array, "rows columns depth features"]) -> Output:
    """output[i, j] = sum over a, b of image[i + a, j + b] @ kernel[a, b]."""
    return _correlate(image, kernel, flip=False)


@jax.custom_vjp
def spread(output: Output, kernel: Float[Array, "rows columns features depth"]) -> Image:
    """image[i + a, j + b] = sum over a, b of output[i, j] @ kernel[a, b]."""
    return _spread(output, kernel, flip=False)


def _correlate_forward(image: Image, kernel: Array) -> tuple[Output, tuple[Image, Array]]:
    return _correlate(image, kernel, flip=False), (image, kernel)


def _correlate_backward(saved: tuple[Image, Array], gradient: Output) -> tuple[Image, Array]:
    image, kernel = saved
    to_kernel = _kernel_gradient(image, gradient, kernel.shape, flip=False)
    return _spread(gradient, kernel, flip=True), to_kernel


def _spread_forward(output: Output, kernel: Array) -> tuple[Image, tuple[Output, Array]]:
    return _spread(output, kernel, flip=False), (output, kernel)


def _spread_backward(saved: tuple[Output, Array], gradient: Image) -> tuple[Output, Array]:
    output, kernel = saved
    to_kernel = _kernel_gradient(gradient, output, kernel.shape, flip=True)
    return _correlate(gradient, kernel, flip=True), to_kernel


correlate.defvjp(_correlate_forward, _correlate_backward)
spread.defvjp(_spread_forward, _spread_backward)


# In what follows `flip` says that the products take the kernel's matrices transposed, so that each
# operation serves as the other's gradient with the kernel as it lies in memory.


def _correlate(image: Image, kernel: Array, *, flip: bool) -> Output:
    window = kernel.shape[:2]
    height, width = _output_size(image, window)
    if winograd.fits(kernel.shape, height, width):
        parts = zip(winograd.cut_image(image), winograd.cut_kernel(kernel), strict=True)
        return winograd.join_output([_product(x, w, flip=flip) for x, w in parts])
    if flip and (height, width) == (1, 1):
        return _sum_taps(image, kernel)
    return _product(_patches(image, window), _join_taps(kernel, 3 if flip else 2), flip=flip)


def _spread(output: Output, kernel: Array, *, flip: bool) -> Image:
    window = kernel.shape[:2]
    if winograd.fits(kernel.shape, *output.shape[1:3]):
        parts = zip(winograd.cut_output(output), winograd.cut_kernel(kernel), strict=True)
        return winograd.join_image([_product(y, w, flip=flip) for y, w in parts])
    if not flip and output.shape[1:3] == (1, 1):
        return _one_product_a_tap(output, kernel)
    patches = _product(output, _join_taps(kernel, 2 if flip else 3), flip=flip)
    return _overlap_add(patches, window)


def _kernel_gradient(
    image: Image, output: Output, shape: tuple[int, ...], *, flip: bool
) -> Float[Array, "rows columns from to"]:
    if winograd.fits(shape, *output.shape[1:3]):
        parts = zip(winograd.cut_image(image), winograd.cut_output(output), strict=True)
        return winograd.join_kernel([_outer(x, y, flip=flip) for x, y in parts])
    if flip and output.shape[1:3] == (1, 1):
        return _outer_taps(image, output)
    rows, columns, first, second = shape
    gradient = _outer(_patches(image, (rows, columns)), output, flip=flip)
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


# A 1×1 map has kernels as large as a network's bottleneck makes them: reordering one costs more
# than its product, so here the taps are a batch of products, in the order they lie in.


def _one_product_a_tap(
    output: Float[Array, "batch 1 1 from"], kernel: Float[Array, "rows columns from to"]
) -> Float[Array, "batch rows columns to"]:
    rows, columns = kernel.shape[:2]
    pixels = jnp.broadcast_to(output[:, 0, 0], (rows * columns, *output[:, 0, 0].shape))
    matrices = kernel.reshape(rows * columns, *kernel.shape[2:])
    image = lax.dot_general(pixels, matrices, (((2,), (1,)), ((0,), (0,))))
    return image.swapaxes(0, 1).reshape(output.shape[0], rows, columns, -1)


def _sum_taps(
    image: Float[Array, "batch rows columns to"], kernel: Float[Array, "rows columns from to"]
) -> Float[Array, "batch 1 1 from"]:
    matrices = kernel.reshape(-1, *kernel.shape[2:])
    # The large operand comes first: the second is the one that gets packed for the product.
    taps = lax.dot_general(matrices, _taps_first(image), (((2,), (2,)), ((0,), (0,))))
    return taps.sum(0).T[:, None, None]


def _outer_taps(
    image: Float[Array, "batch rows columns to"], output: Float[Array, "batch 1 1 from"]
) -> Float[Array, "rows columns from to"]:
    taps = _taps_first(image)
    pixels = jnp.broadcast_to(output[:, 0, 0], (taps.shape[0], *output[:, 0, 0].shape))
    gradient = lax.dot_general(pixels, taps, (((1,), (1,)), ((0,), (0,))))
    return gradient.reshape(*image.shape[1:3], *gradient.shape[1:])


def _taps_first(
    image: Float[Array, "batch rows columns to"],
) -> Float[Array, "taps batch to"]:
    return image.reshape(image.shape[0], -1, image.shape[3]).swapaxes(0, 1)


def _join_taps(kernel: Array, axis: int) -> Float[Array, "a b"]:
    """One matrix of a kernel: its taps joined to its axis 2 or 3, as patches have them."""
    if axis == 2:
        return kernel.reshape(-1, kernel.shape[3])
    return kernel.transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def _output_size(image: Image, window: Window) -> tuple[int, int]:
    return image.shape[1] - window[0] + 1, image.shape[2] - window[1] + 1


def _patches(image: Image, window: Window) -> Float[Array, "batch height width taps_depth"]:
    """All that the kernel sees at each position, side by side."""
    height, width = _output_size(image, window)
    if (height, width) == (1, 1):
        return image.reshape(image.shape[0], 1, 1, -1)
    seen = [
        image[:, a : a + height, b : b + width] for a in range(window[0]) for b in range(window[1])
    ]
    return jnp.concatenate(seen, -1)


def _overlap_add(patches: Float[Array, "batch height width taps_depth"], window: Window) -> Image:
    """The transpose of `_patches`."""
    batch, height, width, _ = patches.shape
    if (height, width) == (1, 1):
        return patches.reshape(batch, *window, -1)
    taps = iter(jnp.split(patches, window[0] * window[1], -1))
    image = jnp.zeros((), patches.dtype)
    for a in range(window[0]):
        for b in range(window[1]):
            around = ((0, 0), (a, window[0] - 1 - a), (b, window[1] - 1 - b), (0, 0))
            image = image + jnp.pad(next(taps), around)
    return image
