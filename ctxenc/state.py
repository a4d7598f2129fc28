"""What is trained, and the state that training changes."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import optax
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ctxenc import augment, masks
from ctxenc.geometry import Geometry
from ctxenc.losses import Loss

Variables = dict[str, Any]
Hyperparameters = dict[str, Array]
"""The numbers of a step by the names of their keys: traced, so changing one never recompiles."""
Logged = dict[str, Float[Array, ""]]
"""What a step reports, by name: losses, accuracies, and whatever else is worth a curve."""


@dataclass(frozen=True, eq=False)
class Model:
    """What is trained: static, hashed by identity, one compiled program for each.

    Attributes:
        generator: From an image with a hole to a prediction.
        discriminator: From pixels to a logit; None where none is trained.
        loss: The terms of both networks' losses.
        mask: Which pixels are missing.
        geometry: What the generator is given and predicts, and what the discriminator sees.
        optimizer: Of both networks, a hyperparameter `learning_rate` in its state.
        schedule: A factor on the learning rates, of (step, total steps).
        flip: Whether training images are flipped at random.
        augment: What else is changed in them: a function of (key, images).
        averaged: Whether the generator's weights are averaged along the way.
        label_head: From the encoder's last maps to a logit for each class; None where no term of
            the loss is of labels.
        bfloat16_products: Whether networks of another dtype multiply matrices in bfloat16.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    loss: Loss
    mask: masks.MaskStrategy
    geometry: Geometry
    optimizer: optax.GradientTransformation
    schedule: Callable[[Array, Array], Float[Array, ""]]
    flip: bool = False
    augment: Callable[[PRNGKeyArray, Array], Array] = augment.none
    averaged: bool = False
    label_head: nn.Module | None = None
    bfloat16_products: bool = False

    def matmul_precision(self) -> contextlib.AbstractContextManager[None]:
        """Within it, networks that are traced multiply matrices as `bfloat16_products` says."""
        if not self.bfloat16_products:
            return contextlib.nullcontext()
        return jax.default_matmul_precision("bfloat16")


class NetworkState(struct.PyTreeNode):
    """One network's parameters, BatchNorm statistics and optimizer state."""

    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> Variables:
        """What the Flax module is applied to."""
        return {"params": self.params, "batch_stats": self.batch_stats}


class TrainState(struct.PyTreeNode):
    """Everything that a step changes.

    `ema` is the exponential moving average of the generator's parameters and statistics, `head_ema`
    that of a label head's. Each network or average that a run does without is None.
    """

    step: Any  # a whole number; its shape alone while things are traced
    generator: NetworkState
    discriminator: NetworkState | None
    ema: Variables | None
    head: NetworkState | None = None
    head_ema: Variables | None = None

    @property
    def evaluated(self) -> Variables:
        """The generator that is measured and shown: the average where there is one."""
        return self.generator.variables if self.ema is None else self.ema


def matched(fresh: PyTree, given: PyTree) -> tuple[PyTree, list[str]]:
    """What of a network's weights fits another, array by array.

    Returns:
        (`fresh` with the arrays that `given` has at the same path in the same shape, the paths of
        those that remain).
    """
    leaves = jax.tree_util.tree_leaves_with_path(given)
    known, remaining = {_name(path): leaf for path, leaf in leaves}, []

    def chosen(path: Any, leaf: Any) -> Any:
        found = known.get(name := _name(path))
        if found is not None and found.shape == leaf.shape:
            return found
        remaining.append(name)
        return leaf

    return jax.tree_util.tree_map_with_path(chosen, fresh), remaining


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
