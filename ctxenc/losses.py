"""The terms of both networks' losses (Pathak et al., 2016, section 3.2), and others in their place.

``conf/loss`` puts one of each kind together; each is named by its ``_target_``, and its keyword
arguments are options:

- *reconstruction*: a function of (prediction, target, weights) to a scalar;
- *adversarial*: a class with the three methods of `Adversarial`;
- *seam*: a function of (composite, mask) to a scalar;
- *gradient_penalty*: a function of (discriminator, pixels) to a scalar, the discriminator itself
  a function of pixels to logits;
- *label*: a function of (logits, labels) to a scalar, a logit for each class.

Pixels are in [-1, 1]; weights and masks have one channel. All are pure and differentiable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ctxenc.errors import UserError

Pixels = Float[Array, "batch height width 3"]
Weights = Float[Array, "batch height width 1"]
Mask = Float[Array, "batch height width 1"]
Logits = Float[Array, " batch"]
Scalar = Float[Array, ""]

Reconstruction = Callable[[Pixels, Pixels, Weights], Scalar]
Seam = Callable[[Pixels, Mask], Scalar]
GradientPenalty = Callable[[Callable[[Array], Logits], Array], Scalar]
ClassLogits = Float[Array, "batch classes"]
Label = Callable[[ClassLogits, Int[Array, " batch"]], Scalar]


def l2(prediction: Pixels, target: Pixels, weights: Weights) -> Scalar:
    """Mean over every pixel and channel of weight × squared error, on the [-1, 1] scale.

    As in the authors' code it is not divided by the sum of the weights: a band that weighs 10×
    adds to the loss.
    """
    return jnp.mean(weights * jnp.square(prediction - target))


def l1(prediction: Pixels, target: Pixels, weights: Weights) -> Scalar:
    """Mean over every pixel and channel of weight × absolute error, on the [-1, 1] scale."""
    return jnp.mean(weights * jnp.abs(prediction - target))


def psnr(prediction: Pixels, target: Pixels, weights: Weights, *, eps: float) -> Scalar:
    """Mean over images of log(MSE + eps), MSE an image's mean of weight × squared error.

    The mean PSNR up to a negative factor and a constant (Chen et al., HINet, 2021): halving an
    image's error counts as much whichever image it is, while those filled worst dominate `l2`.

    Args:
        prediction: in [-1, 1].
        target: likewise.
        weights: of each pixel.
        eps: keeps the gradient of a perfect fill finite; on the scale of squared errors.

    Raises:
        UserError: an `eps` that is not above 0.
    """
    if not eps > 0:
        raise UserError(f"loss.reconstruction.eps={eps}: expected a number above 0")
    squared = weights * jnp.square(prediction - target)
    return jnp.mean(jnp.log(jnp.mean(squared, axis=(1, 2, 3)) + eps))


def seam(composite: Pixels, mask: Mask) -> Scalar:
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


def cross_entropy(logits: ClassLogits, labels: Int[Array, " batch"]) -> Scalar:
    """Mean over images of −log softmax(logits) at the image's label."""
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@runtime_checkable
class Adversarial(Protocol):
    """What the discriminator and the generator each minimise, given logits; all are means.

    A class that takes logits above some other number than 0 for real says so by an attribute
    `decision_threshold`.
    """

    def discriminator_real(self, logits: Logits) -> Scalar:
        """The discriminator's loss on real pixels."""

    def discriminator_fake(self, logits: Logits) -> Scalar:
        """The discriminator's loss on the generator's pixels."""

    def generator(self, logits: Logits) -> Scalar:
        """The generator's loss on its own pixels."""


@dataclass(frozen=True, eq=False)
class Loss:
    """The terms of both networks' losses; a term that is None is not there.

    The fields are the keys of ``conf/loss``; `ctxenc.step` has the formulas. A discriminator is
    trained where there is an adversarial term, a label head where there is a label term. A field's
    annotation says how one is made of its ``_target_``: a `Callable` is that function with its
    options given, anything else a class that is called with them.
    """

    reconstruction: Reconstruction
    adversarial: Adversarial | None = None
    seam: Seam | None = None
    gradient_penalty: GradientPenalty | None = None
    label: Label | None = None


def chance_loss(adversarial: Adversarial | None) -> float | None:
    """The loss of a discriminator that cannot tell real from fake: the mean of both terms.

    That is where all its logits are at the threshold: ln 2 for `NonSaturating`.
    """
    if adversarial is None:
        return None
    logits = jnp.full(1, getattr(adversarial, "decision_threshold", 0.0))
    both = adversarial.discriminator_real(logits) + adversarial.discriminator_fake(logits)
    return float(both) / 2


class NonSaturating:
    """Binary cross-entropy from logits, the generator's in its non-saturating form.

    Goodfellow et al., 2014, section 3: the generator minimises −log D(fake), whose gradient does
    not vanish where the discriminator wins, and not log(1 − D(fake)).
    """

    def discriminator_real(self, logits: Logits) -> Scalar:
        """−log D(real)."""
        return jnp.mean(jax.nn.softplus(-logits))

    def discriminator_fake(self, logits: Logits) -> Scalar:
        """−log(1 − D(fake))."""
        return jnp.mean(jax.nn.softplus(logits))

    def generator(self, logits: Logits) -> Scalar:
        """−log D(fake)."""
        return jnp.mean(jax.nn.softplus(-logits))


class Hinge:
    """The hinge loss (Lim & Ye, 2017; Miyato et al., 2018, equations 16 and 17)."""

    def discriminator_real(self, logits: Logits) -> Scalar:
        """max(0, 1 − D(real))."""
        return jnp.mean(jax.nn.relu(1 - logits))

    def discriminator_fake(self, logits: Logits) -> Scalar:
        """max(0, 1 + D(fake))."""
        return jnp.mean(jax.nn.relu(1 + logits))

    def generator(self, logits: Logits) -> Scalar:
        """−D(fake)."""
        return -jnp.mean(logits)


class LeastSquares:
    """Least squares towards 1 for real and 0 for fake (Mao et al., 2017, equation 9)."""

    decision_threshold = 0.5

    def discriminator_real(self, logits: Logits) -> Scalar:
        """½ (D(real) − 1)²."""
        return 0.5 * jnp.mean(jnp.square(logits - 1))

    def discriminator_fake(self, logits: Logits) -> Scalar:
        """½ D(fake)²."""
        return 0.5 * jnp.mean(jnp.square(logits))

    def generator(self, logits: Logits) -> Scalar:
        """½ (D(fake) − 1)²."""
        return 0.5 * jnp.mean(jnp.square(logits - 1))


def r1(discriminator: Callable[[Array], Logits], pixels: Pixels) -> Scalar:
    """½ · mean over images of ‖∇D‖² at real pixels (Mescheder et al., 2018, equation 9).

    `lambda_r1` is half that paper's γ: its discriminator's loss is the sum over real and fake, and
    here it is their mean. Batch normalisation ties the images of a batch together: the gradient is
    then that of the batch's summed logits.
    """
    slopes = jax.grad(lambda images: discriminator(images).sum())(pixels)
    return 0.5 * jnp.mean(jnp.sum(jnp.square(slopes), axis=(1, 2, 3)))
