"""How sharp a fill is: its gradients, beside those of what was there.

Errors pixel by pixel favour the blurred average of everything that could be in the hole; this
sees the blur. Whether the right thing is there it does not know.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def gradient_magnitude(
    images: Float[Array, "batch height width 3"], mask: Float[Array, "batch height width 1"]
) -> Float[Array, " batch"]:
    """Each image's mean gradient magnitude within its hole, in units of the images' a pixel.

    The gradient is of forward differences, taken where the pixel, its right and its lower
    neighbour are all missing: what the fill and its surroundings differ by is not in it. NaN where
    there is no such pixel: the hole is one pixel high or wide, or only thin strokes are missing.
    """
    down = (images[:, 1:] - images[:, :-1])[:, :, :-1]
    right = (images[:, :, 1:] - images[:, :, :-1])[:, :-1]
    inside = (mask[:, :-1, :-1] > 0) & (mask[:, 1:, :-1] > 0) & (mask[:, :-1, 1:] > 0)
    magnitude = jnp.sqrt(jnp.square(down) + jnp.square(right)) * inside
    return magnitude.sum((1, 2, 3)) / (inside.sum((1, 2, 3)) * images.shape[-1])
