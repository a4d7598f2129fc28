"""Mask strategies: which pixels of each image are missing.

A strategy is a pure function ``(key, batch, height, width, *, options) -> mask``; its keyword
options are what its file in ``conf/mask`` sets. A mask is (batch, height, width, 1) float32 with
1 where a pixel is missing. To add a strategy, write one function here and one YAML file there.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ctxenc.errors import UserError

Mask = Float[Array, "batch height width 1"]
MaskStrategy = Callable[[PRNGKeyArray, int, int, int], Mask]


def center_box(
    key: PRNGKeyArray, batch: int, height: int, width: int, *, mask_height: int, mask_width: int
) -> Mask:
    """One mask_height × mask_width box in the middle of every image; `key` is not used.

    Where the margin is odd, the smaller half is above and to the left.

    Raises:
        UserError: the box does not fit the image, or leaves no context.
    """
    del key
    check_box(height, width, mask_height, mask_width)
    top = jnp.full((batch,), (height - mask_height) // 2)
    left = jnp.full((batch,), (width - mask_width) // 2)
    return boxes(top, left, mask_height, mask_width, height, width)


def random_box(
    key: PRNGKeyArray, batch: int, height: int, width: int, *, mask_height: int, mask_width: int
) -> Mask:
    """One mask_height × mask_width box an image, every offset that fits equally likely.

    Raises:
        UserError: the box does not fit the image, or leaves no context.
    """
    check_box(height, width, mask_height, mask_width)
    key_top, key_left = jax.random.split(key)
    top = jax.random.randint(key_top, (batch,), 0, height - mask_height + 1)
    left = jax.random.randint(key_left, (batch,), 0, width - mask_width + 1)
    return boxes(top, left, mask_height, mask_width, height, width)


def boxes(
    top: Int[Array, " batch"],
    left: Int[Array, " batch"],
    mask_height: int,
    mask_width: int,
    height: int,
    width: int,
) -> Mask:
    """Masks with one box each, its upper left pixel at (top, left)."""
    rows = jnp.arange(height)[None, :, None, None]
    columns = jnp.arange(width)[None, None, :, None]
    top, left = top[:, None, None, None], left[:, None, None, None]
    inside = (
        (rows >= top)
        & (rows < top + mask_height)
        & (columns >= left)
        & (columns < left + mask_width)
    )
    return inside.astype(jnp.float32)


def check_box(height: int, width: int, mask_height: int, mask_width: int) -> None:
    """Refuse a box that is larger than the image or that leaves no context around it."""
    for name, size, limit in (
        ("mask_height", mask_height, height),
        ("mask_width", mask_width, width),
    ):
        if not 1 <= size <= limit:
            raise UserError(f"{name}={size}: it takes 1 to {limit}, the size of the image")
    if (mask_height, mask_width) == (height, width):
        raise UserError(
            f"mask_height={mask_height} mask_width={mask_width}: the hole is the whole image; "
            "one of them takes less, so that some context is left"
        )


def frozen(strategy: MaskStrategy, indices: Int[Array, " batch"], height: int, width: int) -> Mask:
    """The masks of test images: a function of the test index and the strategy, nothing else."""

    def one(index: Int[Array, ""]) -> Float[Array, "height width 1"]:
        return strategy(jax.random.fold_in(jax.random.key(0), index), 1, height, width)[0]

    return jax.vmap(one)(indices)


def apply(
    images: Float[Array, "batch height width 3"], mask: Mask, fill: Float[Array, " 3"]
) -> Float[Array, "batch height width 3"]:
    """The images with the colour `fill` where the mask is 1."""
    return jnp.where(mask > 0, fill, images)


def corners(mask: Mask) -> Int[Array, "batch 2"]:
    """(top, left) of the smallest box that holds each mask's missing pixels."""
    missing = mask[..., 0] > 0
    top = jnp.argmax(missing.any(axis=2), axis=1)
    left = jnp.argmax(missing.any(axis=1), axis=1)
    return jnp.stack([top, left], axis=1)


def crop(
    images: Float[Array, "batch height width c"],
    corner: Int[Array, "batch 2"],
    size: tuple[int, int],
) -> Float[Array, "batch h w c"]:
    """The box of `size` (height, width) at each image's corner."""

    def one(image: Array, at: Array) -> Array:
        return jax.lax.dynamic_slice(image, (at[0], at[1], 0), (*size, image.shape[-1]))

    return jax.vmap(one)(images, corner)


def paste(
    images: Float[Array, "batch height width c"],
    holes: Float[Array, "batch h w c"],
    corner: Int[Array, "batch 2"],
) -> Float[Array, "batch height width c"]:
    """The images with each hole's content at its corner: the inverse of `crop`."""

    def one(image: Array, hole: Array, at: Array) -> Array:
        return jax.lax.dynamic_update_slice(image, hole, (at[0], at[1], 0))

    return jax.vmap(one)(images, holes, corner)


def to_float(images: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    """uint8 pixels as float32 in [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1.0
