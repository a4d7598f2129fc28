"""What is trained, its numbers, and the state that training changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float

from ctxenc import losses, masks
from ctxenc.prediction import Prediction
from ctxenc.schedules import Factor

Variables = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Model:
    """What is trained: static, hashed by identity, one compiled program for each.

    `discriminator` and `adversarial` are None where no discriminator is trained, `seam` and
    `penalty` where the loss has no such term. `averaged` says whether the generator's weights are
    averaged along the way.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    reconstruction: losses.Reconstruction
    adversarial: losses.Adversarial | None
    mask: masks.MaskStrategy
    prediction: Prediction
    optimizer: optax.GradientTransformation
    schedule: Callable[[Array, Array], Factor]
    seam: losses.Seam | None = None
    penalty: losses.Penalty | None = None
    flip: bool = False
    averaged: bool = False

    @property
    def losses(self) -> tuple[str, ...]:
        """Those of `LOSSES` that this one has."""
        absent = {
            "seam": self.seam is None,
            "penalty": self.penalty is None,
            **dict.fromkeys(JUDGED, self.discriminator is None),
        }
        return tuple(name for name in LOSSES if not absent.get(name))


class Hyper(struct.PyTreeNode):
    """Numeric hyper-parameters: traced, so that changing one never recompiles.

    `context_weight` is that of predicted pixels which are visible; `average` the decay of the
    weights' moving average, `total` the steps of the whole run.
    """

    lambda_rec: Float[Array, ""]
    lambda_adv: Float[Array, ""]
    lambda_seam: Float[Array, ""]
    lambda_r1: Float[Array, ""]
    context_weight: Float[Array, ""]
    learning_rate_g: Float[Array, ""]
    learning_rate_d: Float[Array, ""]
    ema_decay: Float[Array, ""]
    total: Float[Array, ""]
    fill: Float[Array, " 3"]

    @classmethod
    def of(cls, fill: Any, **numbers: float) -> "Hyper":
        """From plain numbers; those that are not given are 0."""
        unknown = numbers.keys() - cls.__dataclass_fields__.keys()
        assert not unknown, unknown
        names = (name for name in cls.__dataclass_fields__ if name != "fill")
        scalars = {name: jnp.asarray(numbers.get(name, 0.0), jnp.float32) for name in names}
        return cls(**scalars, fill=jnp.asarray(fill, jnp.float32))


class Network(struct.PyTreeNode):
    """One network's parameters, BatchNorm statistics and optimizer state."""

    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> Variables:
        """What the Flax module is applied to."""
        return {"params": self.params, "batch_stats": self.batch_stats}


Losses = dict[str, Float[Array, ""]]

LOSSES = (
    "generator",  # the weighted sum of the next three: what the generator minimises
    "pixelwise",
    "adversarial",
    "seam",
    "discriminator",  # the mean of real and fake, plus lambda_r1 · penalty: what it minimises
    "real",
    "fake",
    "penalty",
    "accuracy_real",  # share of real pixels' views that the discriminator takes for real
    "accuracy_fake",
)
JUDGED = ("adversarial", "discriminator", "real", "fake", "accuracy_real", "accuracy_fake")
MISSING = "missing"  # the masks' share of the image, summed beside the losses


class TrainState(struct.PyTreeNode):
    """Everything that a step changes.

    `average` is the moving average of the generator's parameters and statistics, None where there
    is none; `window` sums the losses, and the steps, since last read.
    """

    step: Array
    generator: Network
    discriminator: Network | None
    average: Variables | None
    window: Losses

    @property
    def tested(self) -> Variables:
        """The generator that is tested and shown: the average where there is one."""
        return self.generator.variables if self.average is None else self.average


def empty_window() -> Losses:
    """Loss sums before the first step."""
    return {name: jnp.zeros(()) for name in (*LOSSES, MISSING, "steps")}
