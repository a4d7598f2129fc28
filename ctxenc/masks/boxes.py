"""One box per image: the masks of the paper's centre model and of the TensorFlow original."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask

Offsets = Int[Array, " batch"]


def center_box(
    key: PRNGKeyArray,
    batch: int,
    height: int,
    width: int,
    *,
    mask_height: int,
    mask_width: int,
    overlap: float = 0.0,
) -> Mask:
    """One mask_height × mask_width box in the middle of every image; `key` is not used.

    Where the margin is odd, the smaller half is above and to the left. `overlap` is the share of
    the box's shorter side that stays visible along each of its edges (see `band`).

    Raises:
        UserError: The box does not fit the image, or leaves no context.
    """
    del key
    top = jnp.full((batch,), (height - mask_height) // 2)
    left = jnp.full((batch,), (width - mask_width) // 2)
    return _missing(top, left, (mask_height, mask_width), overlap, (height, width))


def random_box(
    key: PRNGKeyArray,
    batch: int,
    height: int,
    width: int,
    *,
    mask_height: int,
    mask_width: int,
    overlap: float = 0.0,
) -> Mask:
    """As `center_box`, but anywhere in the image: every offset that fits is equally likely."""
    key_top, key_left = jax.random.split(key)
    top = jax.random.randint(key_top, (batch,), 0, height - mask_height + 1)
    left = jax.random.randint(key_left, (batch,), 0, width - mask_width + 1)
    return _missing(top, left, (mask_height, mask_width), overlap, (height, width))


def _missing(
    top: Offsets, left: Offsets, box: tuple[int, int], overlap: float, image: tuple[int, int]
) -> Mask:
    """Boxes less their visible band, once it is known that a box fits and leaves some context."""
    for name, size, limit in zip(("mask_height", "mask_width"), box, image, strict=True):
        if not 1 <= size <= limit:
            raise UserError(f"{name}={size}: expected 1 to {limit}, the size of the image")
    if box == image:
        raise UserError(
            f"mask_height={box[0]} mask_width={box[1]}: one must be less than the image, so that "
            "some context is left"
        )
    edge = band(overlap, *box)
    return boxes(top + edge, left + edge, box[0] - 2 * edge, box[1] - 2 * edge, *image)


def band(overlap: float, mask_height: int, mask_width: int) -> int:
    """Pixels of a box, along each of its edges, that stay visible and are predicted all the same.

    The authors' code has 4 in a box of 64, the paper 7.

    Raises:
        UserError: `overlap` is no share below one half, less than a pixel, or all of the box.
    """
    if not 0 <= overlap < 0.5:
        raise UserError(f"overlap={overlap}: expected a share of the box's side, from 0 to 0.49")
    shorter, box = min(mask_height, mask_width), f"a box of {mask_height} × {mask_width}"
    edge = round(overlap * shorter)
    if edge == 0 < overlap:
        least = 1 / shorter
        raise UserError(f"overlap={overlap}: expected 0, or {least:.3g} or more, a pixel of {box}")
    if 2 * edge >= shorter:
        raise UserError(
            f"overlap={overlap}: must be less, as {edge} visible pixels along each edge leave "
            f"nothing of {box} missing"
        )
    return edge


def boxes(
    top: Offsets, left: Offsets, mask_height: int, mask_width: int, height: int, width: int
) -> Mask:
    """Masks with one box each, its upper left pixel at (top, left)."""
    rows = jnp.arange(height)[None, :, None, None] - top[:, None, None, None]
    columns = jnp.arange(width)[None, None, :, None] - left[:, None, None, None]
    inside = (rows >= 0) & (rows < mask_height) & (columns >= 0) & (columns < mask_width)
    return inside.astype(jnp.float32)
