"""What a trained encoder is held against: the pixels, and the same network before any training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from ctxenc import features, masks, step
from ctxenc.data.images import Images, decode
from ctxenc.state import Model, Variables

ADAPTING = 100  # batches
PIXELS = 32  # cells a side: of larger images, a linear probe of all pixels would be too large


def random_weights(
    model: Model, seed: int, images: Images, image_size: int, batch_size: int
) -> Variables:
    """The weights that a run's seed draws, whatever `init_from`, once BatchNorm knows the images.

    Its running statistics are of `ADAPTING` batches of the training images: with fresh
    ones, which assume maps of mean 0 and variance 1, the control would be unfairly weak.
    """
    variables = step.init(model, jax.random.key(seed), image_size).generator.variables
    rng = np.random.default_rng(seed)
    for _ in range(ADAPTING):
        chosen = rng.integers(0, len(images), batch_size)
        stats = _adapted(model, variables, decode(images, chosen.tolist()))
        variables = {**variables, "batch_stats": stats}
    return variables


@functools.partial(jax.jit, static_argnums=0)
def _adapted(
    model: Model, variables: Variables, images: UInt8[Array, "batch height width 3"]
) -> Variables:
    return features.training_stages(model, variables, masks.to_float(jnp.asarray(images)))[1]
