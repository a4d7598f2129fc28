"""No hole at all: everything is to be predicted, and all of it is seen."""

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ctxenc.masks import Mask


def whole_image(key: PRNGKeyArray, batch: int, height: int, width: int) -> Mask:
    """Every pixel of every image; `key` is not used.

    As nothing would be left to see, `ctxenc.geometry` hides nothing under such masks: what is
    trained is an autoencoder.
    """
    del key
    return jnp.ones((batch, height, width, 1))
