"""Random changes of training images, each image's its own; part of the jitted step.

An augmentation is a function of (key, images in [-1, 1]) to images of the same shape and scale; its
keyword arguments are options. Training images alone are changed, before they are masked.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ctxenc import masks
from ctxenc.errors import UserError

BEND = 1.6  # half the standard deviation of a line's curvature, in images

Pixels = Float[Array, "batch size size 3"]


def none(key: PRNGKeyArray, images: Pixels) -> Pixels:
    """The images as they are."""
    del key
    return images


def shift(key: PRNGKeyArray, images: Pixels, *, pixels: int) -> Pixels:
    """Images moved by up to `pixels` each way; what comes into view is their mirror image.

    Raises:
        UserError: fewer pixels than 1, or not fewer than an image has.
    """
    if not 1 <= pixels < images.shape[1]:
        raise UserError(f"augment.pixels={pixels}: expected 1 to {images.shape[1] - 1}")
    corner = jax.random.randint(key, (len(images), 2), 0, 2 * pixels + 1)
    margin = (pixels, pixels)
    wide = jnp.pad(images, ((0, 0), margin, margin, (0, 0)), mode="reflect")
    return masks.crop(wide, corner, (images.shape[1], images.shape[2]))


def colour(
    key: PRNGKeyArray,
    images: Pixels,
    *,
    transpose: float,
    permute: bool,
    gain: float,
    offset: float,
    invert: float,
    collage: float = 0.0,
) -> Pixels:
    """Images reflected in their diagonal, with other colours and contrasts, at times inverted.

    And joined: few photographs have few outlines, which pieces of two of them have anew each time.

    Args:
        key: of the step.
        images: in [-1, 1].
        transpose: the share of images whose rows become columns.
        permute: whether the colour channels change places, all orders alike.
        gain: each channel is multiplied by a number from 1 - gain to 1 + gain,
        offset: and a number from -offset to offset is added; what leaves [-1, 1] is clipped.
        invert: the share of images whose sign is changed.
        collage: the share that are the batch's next image on one side of a random straight or bent
            line; it is drawn last.

    Raises:
        UserError: a share, a gain or an offset that is not 0 to 1.
    """
    shares = {"transpose": transpose, "gain": gain, "offset": offset, "invert": invert}
    shares["collage"] = collage
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UserError(f"augment.{name}={share}: expected a number from 0 to 1")
    keys, count = jax.random.split(key, 7), len(images)

    def of_each(key: PRNGKeyArray, share: float) -> Array:
        return jax.random.bernoulli(key, share, (count, 1, 1, 1))

    def within(key: PRNGKeyArray, width: float) -> Array:
        return jax.random.uniform(key, (count, 1, 1, 3), minval=-width, maxval=width)

    images = jnp.where(of_each(keys[0], transpose), images.swapaxes(1, 2), images)
    if permute:
        order = jnp.argsort(jax.random.uniform(keys[1], (count, 1, 1, 3)), axis=-1)
        images = jnp.take_along_axis(images, order, axis=-1)
    images = images * (1 + within(keys[2], gain)) + within(keys[3], offset)
    images = jnp.where(of_each(keys[4], invert), -images, images)
    images = jnp.clip(images, -1, 1)
    if collage:
        side = of_each(keys[5], collage) * _beside_a_line(keys[6], *images.shape[:3])
        images = images + side * (jnp.roll(images, 1, axis=0) - images)
    return images


def _beside_a_line(
    key: PRNGKeyArray, count: int, height: int, width: int
) -> Float[Array, "count height width 1"]:
    """1 on one side of a line through the middle half of an image, 0 on the other; smooth edges."""
    of_point, of_turn, of_bend = jax.random.split(key, 3)
    point = jax.random.uniform(of_point, (2, count, 1, 1), minval=0.25, maxval=0.75)
    turn = jax.random.uniform(of_turn, (count, 1, 1), maxval=2 * jnp.pi)
    bend = BEND / height * jax.random.normal(of_bend, (count, 1, 1))
    down = jnp.arange(height)[:, None] - height * point[0]
    right = jnp.arange(width) - width * point[1]
    distance = down * jnp.sin(turn) + right * jnp.cos(turn) + bend * (down**2 + right**2)
    return jnp.clip(distance + 0.5, 0, 1)[..., None]
