"""Losses: a smooth L1 for the reconstruction, and Wasserstein's for the discriminator."""

import jax.numpy as jnp
from jaxtyping import Array, Float

Pixels = Float[Array, "batch height width 3"]
Weights = Float[Array, "batch height width 1"]


def charbonnier(
    prediction: Pixels, target: Pixels, weights: Weights, *, eps: float
) -> Float[Array, ""]:
    """√(error² + eps²): L1 far from zero and L2 near it (Charbonnier et al., 1994)."""
    return jnp.mean(weights * jnp.sqrt(jnp.square(prediction - target) + eps**2))


class Wasserstein:
    """The critic's difference of means (Arjovsky et al., 2017); it needs a gradient penalty."""

    def discriminator_real(self, logits: Float[Array, " batch"]) -> Float[Array, ""]:
        """−D(real)."""
        return -jnp.mean(logits)

    def discriminator_fake(self, logits: Float[Array, " batch"]) -> Float[Array, ""]:
        """D(fake)."""
        return jnp.mean(logits)

    def generator(self, logits: Float[Array, " batch"]) -> Float[Array, ""]:
        """−D(fake)."""
        return -jnp.mean(logits)
