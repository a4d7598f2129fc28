"""Fine-tuning: all of an encoder's weights and a label head, trained with a share of the labels.

The head is linear, on the mean of the last stage's maps, and begins with zeros. Both are trained by
AdamW (Loshchilov and Hutter, 2019), learning rate 1e-3 and weight decay 0.05, the rate rising over
the first 5 % of the steps and falling as a cosine (SGDR, 2017); cross-entropy; batches of 64, each
image flipped half the time and moved by up to an eighth of its side, as He et al. (2016) do. There
are `LEAST_STEPS` steps, or as many as `EPOCHS` need. Nothing is chosen: the last weights count.
"""

import functools
from dataclasses import dataclass
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ctxenc import augment, features, masks
from ctxenc.data.images import Images, decode
from ctxenc.errors import UserError
from ctxenc.probing.features import Progress, batches
from ctxenc.probing.labelled import Labelled
from ctxenc.state import Model, Variables
from ctxenc.step import random_flip

BATCH = 64
LEAST_STEPS = 800
EPOCHS = 5
RATE, DECAY, WARM_UP = 1e-3, 0.05, 0.05
HEAD = ("params", "label_head")  # among the weights, by path

Weights = dict[features.Path, Array]


@dataclass(frozen=True)
class Tuned:
    """An encoder with its head, to be applied to images; `others` are the decoder's."""

    model: Model
    stage: str
    weights: Weights
    others: Variables

    def predict(self, images: Images, batch_size: int) -> Int[np.ndarray, " images"]:
        """Each image's class."""
        found = [
            np.asarray(_classes(self.model, self.stage, self.weights, self.others, batch))[:valid]
            for _, batch, valid in batches(images, batch_size)
        ]
        return np.concatenate(found)


def share(text: str) -> float:
    """A share of the labels, as a user typed it.

    Raises:
        UserError: it is no number above 0 and up to 1.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise UserError(f"--labels {text}: expected numbers above 0 and up to 1, as 1,0.1,0.01")
    return value


def subset(
    numbers: Int[np.ndarray, " images"], fraction: float, seed: int
) -> Int[np.ndarray, " subset"]:
    """The images whose labels are given: that share of each class, and at least one."""
    rng, chosen = np.random.default_rng(seed), []
    for number in np.unique(numbers):
        of_class = rng.permutation(np.flatnonzero(numbers == number))
        chosen.append(of_class[: max(1, round(fraction * len(of_class)))])
    return np.sort(np.concatenate(chosen))


def tuned(
    model: Model,
    variables: Variables,
    images: Labelled,
    fraction: float,
    seed: int,
    progress: Progress,
) -> Tuned:
    """Train an encoder that begins with some weights, and a label head.

    Args:
        model: whose generator's encoder it is.
        variables: the generator's.
        images: to train on.
        fraction: of the training images, whose labels are given.
        seed: chooses the images, their order and their augmentation.
        progress: told how many images have been seen.
    """
    stage = features.names(model, variables, images.image_size)[-1]
    given = subset(images.train.numbers, fraction, seed)
    steps = max(LEAST_STEPS, EPOCHS * len(given) // BATCH)
    optimizer = _optimizer(steps)
    weights = features.encoder(model, variables, images.image_size, [stage])
    blank = jax.ShapeDtypeStruct((1, images.image_size, images.image_size, 3), jnp.float32)
    width = jax.eval_shape(lambda x: features.stages(model, variables, x)[stage], blank).shape[-1]
    weights[(*HEAD, "kernel")] = jnp.zeros((width, len(images.classes)))
    weights[(*HEAD, "bias")] = jnp.zeros(len(images.classes))
    params, stats = _parted(weights)
    state = optimizer.init(params)
    rng, key = np.random.default_rng([seed, 1]), jax.random.key(seed)
    order: np.ndarray = np.array([], int)
    for step in range(steps):
        while len(order) < BATCH:
            order = np.concatenate([order, rng.permutation(given)])
        rows, order = order[:BATCH], order[BATCH:]
        batch = decode(images.train.images, rows.tolist())
        own = jax.random.fold_in(key, step)
        params, stats, state = _step(
            *(model, stage, optimizer, params, stats, state, variables),
            *(batch, images.train.numbers[rows], own),
        )
        progress((step + 1) * BATCH, steps * BATCH)
    return Tuned(model, stage, params | stats, variables)


@functools.cache
def _optimizer(steps: int) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(0, RATE, max(1, int(WARM_UP * steps)), steps)
    return optax.adamw(rate, weight_decay=DECAY)


def _parted(weights: Weights) -> tuple[Weights, Weights]:
    """(what has a gradient, BatchNorm's statistics)."""
    params = {path: leaf for path, leaf in weights.items() if path[0] == "params"}
    return params, {path: leaf for path, leaf in weights.items() if path not in params}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _step(
    model: Model,
    stage: str,
    optimizer: optax.GradientTransformation,
    params: Weights,
    stats: Weights,
    state: Any,
    others: Variables,
    images: UInt8[Array, "batch height width 3"],
    numbers: Int[Array, " batch"],
    key: PRNGKeyArray,
) -> tuple[Weights, Weights, Any]:
    to_flip, to_shift = jax.random.split(key)
    shown = random_flip(to_flip, masks.to_float(images))
    shown = augment.shift(to_shift, shown, pixels=max(1, shown.shape[1] // 8))

    def loss(params: Weights) -> tuple[Float[Array, ""], Weights]:
        variables = features.completed(_encoder(params) | stats, others)
        maps, updated = features.training_stages(model, variables, shown)
        by_path = flax.traverse_util.flatten_dict({"batch_stats": updated})
        logits = _logits(params, maps[stage])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, numbers)
        return losses.mean(), {path: by_path[path] for path in stats}

    grads, stats = jax.grad(loss, has_aux=True)(params)
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), stats, state


@functools.partial(jax.jit, static_argnums=(0, 1))
def _classes(
    model: Model,
    stage: str,
    weights: Weights,
    others: Variables,
    images: UInt8[Array, "batch height width 3"],
) -> Int[Array, " batch"]:
    variables = features.completed(_encoder(weights), others)
    maps = features.stages(model, variables, masks.to_float(images))
    return _logits(weights, maps[stage]).argmax(axis=1)


def _encoder(weights: Weights) -> Weights:
    return {path: leaf for path, leaf in weights.items() if path[:2] != HEAD}


def _logits(
    weights: Weights, maps: Float[Array, "batch height width channels"]
) -> Float[Array, "batch classes"]:
    kernel, bias = (weights[(*HEAD, name)] for name in ("kernel", "bias"))
    return maps.astype(jnp.float32).mean((1, 2)) @ kernel + bias
