"""A mask: a cross through the whole image."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def cross(
    key: PRNGKeyArray, batch: int, height: int, width: int, *, thickness: int
) -> Float[Array, "batch height width 1"]:
    """A horizontal and a vertical bar of `thickness` pixels that meet at a random place."""
    at = jax.random.uniform(key, (2, batch, 1, 1))
    top = jnp.floor(at[0] * (height - thickness + 1))
    left = jnp.floor(at[1] * (width - thickness + 1))
    rows, columns = jnp.arange(height)[None, :, None], jnp.arange(width)[None, None, :]
    missing = (rows >= top) & (rows < top + thickness)
    missing |= (columns >= left) & (columns < left + thickness)
    return missing[..., None].astype(jnp.float32)
