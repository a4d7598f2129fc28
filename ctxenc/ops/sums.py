"""Sums over all pixels, and their transpose, fast on a CPU too.

XLA's CPU sums over leading axes at a tenth of the speed at which it reads the memory, the more so
where its faster reductions are switched off because they are wrong (`ctxenc.xla_flags`). As the
product of a row of ones and a matrix with a row an image the same sum is quick, and repeating an
image as the product of a column of ones and a row has that sum as its gradient.

A product sums one number after the other: over all pixels of a batch at once, some hundred thousand
of them, it would lose three of float32's seven digits. So it sums over images only, and XLA over
the pixels of the one that is left.
"""

from math import prod

import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.ops.platforms import fastest


def over_pixels(x: Float[Array, "batch *pixels channels"]) -> Float[Array, " channels"]:
    """Each channel's sum over all other axes."""

    def product(x: Array) -> Array:
        ones = jnp.ones((1, x.shape[0]), x.dtype)
        one = jnp.matmul(ones, x.reshape(x.shape[0], -1), precision="highest")
        return one.reshape(-1, x.shape[-1]).sum(0)

    def otherwise(x: Array) -> Array:
        return x.sum(tuple(range(x.ndim - 1)))

    return fastest(x, cpu=product, default=otherwise)


def to_pixels(
    vector: Float[Array, " channels"], like: Float[Array, "batch *pixels channels"]
) -> Float[Array, "batch *pixels channels"]:
    """A number for each channel, the same at every pixel: of the shape of `like`."""
    shape = like.shape

    def product(vector: Array) -> Array:
        one = jnp.broadcast_to(vector, (prod(shape[1:-1]), shape[-1])).reshape(1, -1)
        ones = jnp.ones((shape[0], 1), vector.dtype)
        return jnp.matmul(ones, one, precision="highest").reshape(shape)

    def otherwise(vector: Array) -> Array:
        return jnp.broadcast_to(vector, shape)

    return fastest(vector, cpu=product, default=otherwise)
