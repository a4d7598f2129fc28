"""The terms of the joint loss (Pathak et al., 2016, section 3.2).

A reconstruction term is a function of (prediction, target); an adversarial term is a class of
three functions of logits, since the discriminator and the generator need not mirror each other.
"""

from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Holes = Float[Array, "batch height width 3"]
Logits = Float[Array, " batch"]
Scalar = Float[Array, ""]


def l2(prediction: Holes, target: Holes) -> Scalar:
    """Mean squared error on the [-1, 1] scale, over every pixel and channel of the hole."""
    return jnp.mean(jnp.square(prediction - target))


class Adversarial(Protocol):
    """What the discriminator and the generator each minimise, given logits; all are means."""

    def real(self, logits: Logits) -> Scalar:
        """The discriminator's loss on real holes."""

    def fake(self, logits: Logits) -> Scalar:
        """The discriminator's loss on the generator's holes."""

    def fool(self, logits: Logits) -> Scalar:
        """The generator's loss on its own holes."""


class NonSaturating:
    """Binary cross-entropy from logits, the generator's in its non-saturating form.

    Goodfellow et al., 2014, section 3: the generator minimises −log D(fake), whose gradient does
    not vanish where the discriminator wins, and not log(1 − D(fake)).
    """

    def real(self, logits: Logits) -> Scalar:
        """−log D(real)."""
        return jnp.mean(jax.nn.softplus(-logits))

    def fake(self, logits: Logits) -> Scalar:
        """−log(1 − D(fake))."""
        return jnp.mean(jax.nn.softplus(logits))

    def fool(self, logits: Logits) -> Scalar:
        """−log D(fake)."""
        return jnp.mean(jax.nn.softplus(-logits))
