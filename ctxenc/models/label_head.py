"""What an encoder's last stage says of an image's class: the head of the loss's label term."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from ctxenc.models.layers import Maps


class LabelHead(nn.Module):
    """A linear layer on the mean of each map.

    Attributes:
        classes: How many there are.
    """

    classes: int

    @nn.compact
    def __call__(self, maps: Maps, *, train: bool) -> Float[Array, "batch classes"]:
        """A logit for each class, float32."""
        del train
        return nn.Dense(self.classes)(maps.astype(jnp.float32).mean(axis=(1, 2)))
