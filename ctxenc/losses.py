"""The terms of the joint loss (Pathak et al., 2016, section 3.2), and others to put in their place.

A reconstruction term is a function of (prediction, target, weights); a seam term of (composite,
mask); an adversarial term is a class of three functions of logits, since the discriminator and the
generator need not mirror each other; a penalty is a function of (the discriminator as a function
of its input, what it saw).
"""

import math
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Window = Float[Array, "batch height width 3"]
Weights = Float[Array, "batch height width 1"]
Logits = Float[Array, " batch"]
Scalar = Float[Array, ""]

Reconstruction = Callable[[Window, Window, Weights], Scalar]
Seam = Callable[[Window, Weights], Scalar]
Penalty = Callable[[Callable[[Array], Logits], Array], Scalar]


def l2(prediction: Window, target: Window, weights: Weights) -> Scalar:
    """Mean over every pixel and channel of weight × squared error, on the [-1, 1] scale.

    As in the authors' code the sum of the weights is not divided by: a band that weighs 10× adds
    to the loss.
    """
    return jnp.mean(weights * jnp.square(prediction - target))


def l1(prediction: Window, target: Window, weights: Weights) -> Scalar:
    """Mean over every pixel and channel of weight × absolute error, on the [-1, 1] scale."""
    return jnp.mean(weights * jnp.abs(prediction - target))


def seam(composite: Window, mask: Weights) -> Scalar:
    """Total variation across the hole's edge: how visible the cut is.

    The mean absolute difference, over channels and over the pairs of neighbours (right and below)
    of which exactly one pixel is missing; [-1, 1] scale, all images pooled.
    """
    total, pairs = jnp.zeros(()), jnp.zeros(())
    for axis in (1, 2):
        step = jnp.abs(jnp.diff(composite, axis=axis)).mean(axis=-1, keepdims=True)
        across = jnp.abs(jnp.diff(mask, axis=axis))
        total, pairs = total + jnp.sum(step * across), pairs + jnp.sum(across)
    return total / jnp.maximum(pairs, 1)


class Adversarial(Protocol):
    """What the discriminator and the generator each minimise, given logits; all are means."""

    threshold: float
    """The logit above which the discriminator takes its input for real."""
    blind: float
    """What the discriminator loses, the mean of `real` and `fake`, where it cannot tell them."""

    def real(self, logits: Logits) -> Scalar:
        """The discriminator's loss on real pixels."""

    def fake(self, logits: Logits) -> Scalar:
        """The discriminator's loss on the generator's pixels."""

    def fool(self, logits: Logits) -> Scalar:
        """The generator's loss on its own pixels."""


class NonSaturating:
    """Binary cross-entropy from logits, the generator's in its non-saturating form.

    Goodfellow et al., 2014, section 3: the generator minimises −log D(fake), whose gradient does
    not vanish where the discriminator wins, and not log(1 − D(fake)).
    """

    threshold, blind = 0.0, math.log(2)

    def real(self, logits: Logits) -> Scalar:
        """−log D(real)."""
        return jnp.mean(jax.nn.softplus(-logits))

    def fake(self, logits: Logits) -> Scalar:
        """−log(1 − D(fake))."""
        return jnp.mean(jax.nn.softplus(logits))

    def fool(self, logits: Logits) -> Scalar:
        """−log D(fake)."""
        return jnp.mean(jax.nn.softplus(-logits))


class Hinge:
    """The hinge loss (Lim & Ye, 2017; Miyato et al., 2018, equations 16 and 17)."""

    threshold, blind = 0.0, 1.0

    def real(self, logits: Logits) -> Scalar:
        """max(0, 1 − D(real))."""
        return jnp.mean(jax.nn.relu(1 - logits))

    def fake(self, logits: Logits) -> Scalar:
        """max(0, 1 + D(fake))."""
        return jnp.mean(jax.nn.relu(1 + logits))

    def fool(self, logits: Logits) -> Scalar:
        """−D(fake)."""
        return -jnp.mean(logits)


class LeastSquares:
    """Least squares towards 1 for real and 0 for fake (Mao et al., 2017, equation 9)."""

    threshold, blind = 0.5, 0.125

    def real(self, logits: Logits) -> Scalar:
        """½ (D(real) − 1)²."""
        return 0.5 * jnp.mean(jnp.square(logits - 1))

    def fake(self, logits: Logits) -> Scalar:
        """½ D(fake)²."""
        return 0.5 * jnp.mean(jnp.square(logits))

    def fool(self, logits: Logits) -> Scalar:
        """½ (D(fake) − 1)²."""
        return 0.5 * jnp.mean(jnp.square(logits - 1))


def r1(discriminator: Callable[[Array], Logits], real: Window) -> Scalar:
    """½ · mean over images of ‖∇D‖² at real pixels (Mescheder et al., 2018, equation 9).

    `lambda_r1` is half that paper's γ: its discriminator's loss is the sum over real and fake, and
    here it is their mean. Batch normalisation ties the images of a batch together: the
    gradient is then that of the batch's summed logits.
    """
    slopes = jax.grad(lambda pixels: discriminator(pixels).sum())(real)
    return 0.5 * jnp.mean(jnp.sum(jnp.square(slopes), axis=(1, 2, 3)))
