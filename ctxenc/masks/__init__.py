"""Mask strategies, what a strategy of your own must be, and what is done with masks.

A mask is (batch, height, width, 1) float32: 1 where a pixel is missing, 0 where it is visible.
A strategy draws masks. It is a function, or a class whose objects are called in the same way::

    def corner_box(key, batch, height, width, *, side: float = 0.5) -> Mask:
        rows, columns = jnp.arange(height)[:, None], jnp.arange(width)
        missing = (rows < side * height) & (columns < side * width)
        return jnp.ones((batch, 1, 1, 1)) * missing[None, :, :, None]

`key` is a `jax.random` key; `batch` is how many masks, `height` and `width` are the image's, in
pixels. The keyword options (of a class, its arguments) are what a file in ``conf/mask`` sets and
explains; those that cannot work raise a `UserError`: ``mask.side=2: expected …``. Calls are traced,
so whatever depends on the key must be pure JAX. Test masks are drawn one at a time (see `frozen`).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

Mask = Float[Array, "batch height width 1"]
MaskStrategy = Callable[[PRNGKeyArray, int, int, int], Mask]
Images = Float[Array, "batch height width 3"]
Corners = Int[Array, "batch 2"]

MOST_DRAWN = 2**26  # pixels of masks that are in memory at once, where many are looked at


@functools.partial(jax.jit, static_argnums=(0, 2, 3))  # eagerly it would take a second
def frozen(strategy: MaskStrategy, indices: Int[Array, " batch"], height: int, width: int) -> Mask:
    """The masks of test images: a function of the test index and the strategy, nothing else."""

    def one(index: Int[Array, ""]) -> Float[Array, "height width 1"]:
        return strategy(jax.random.fold_in(jax.random.key(0), index), 1, height, width)[0]

    return jax.vmap(one)(indices)


def apply(images: Images, mask: Mask, fill: Float[Array, " 3"]) -> Images:
    """The images with the colour `fill` where the mask is 1."""
    return jnp.where(mask > 0, fill, images)


def corners(mask: Mask) -> Corners:
    """(top, left) of the smallest box that holds each mask's missing pixels."""
    missing = mask[..., 0] > 0
    return jnp.stack([jnp.argmax(missing.any(axis), axis=1) for axis in (2, 1)], axis=1)


def crop(
    images: Float[Array, "batch height width c"], corner: Corners, size: tuple[int, int]
) -> Float[Array, "batch h w c"]:
    """The box of `size` (height, width) at each image's corner."""

    def one(image: Array, at: Array) -> Array:
        return jax.lax.dynamic_slice(image, (at[0], at[1], 0), (*size, image.shape[-1]))

    return jax.vmap(one)(images, corner)


@jax.vmap
def paste(
    image: Float[Array, "height width c"], hole: Float[Array, "h w c"], corner: Int[Array, "2"]
) -> Float[Array, "height width c"]:
    """Images with each one's hole at its corner, the inverse of `crop`; all have a batch axis."""
    return jax.lax.dynamic_update_slice(image, hole, (corner[0], corner[1], 0))


def to_float(images: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    """uint8 pixels as float32 in [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1.0
