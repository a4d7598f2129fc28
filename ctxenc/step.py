"""The training step: pure functions from state and images to new state, and nothing else."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ctxenc import masks
from ctxenc.gradients import gradients
from ctxenc.metrics import per_image
from ctxenc.state import Hyper, Model, Network, TrainState, Variables, empty_window


@functools.partial(
    jax.jit,
    static_argnums=(0, 2),
    # It runs once: optimizing it would take LLVM seconds (7.7 instead of 1.6) for nothing.
    compiler_options={"xla_backend_optimization_level": 1},
)
def init(model: Model, key: PRNGKeyArray, image_size: int) -> TrainState:
    """A fresh state: both networks' initial weights, drawn from `key`."""
    key_g, key_d = jax.random.split(key)

    def network(module: nn.Module, key: PRNGKeyArray, shape: tuple[int, ...]) -> Network:
        variables = module.init(key, jnp.zeros(shape), train=False)
        params = variables["params"]
        return Network(params, variables.get("batch_stats", {}), model.optimizer.init(params))

    views = model.prediction
    generator = network(model.generator, key_g, (1, image_size, image_size, views.channels))
    judged = (1, *views.judged_size(image_size), 3)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=(
            None if model.discriminator is None else network(model.discriminator, key_d, judged)
        ),
        average=jax.tree.map(jnp.copy, generator.variables) if model.averaged else None,
        window=empty_window(),
    )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(
    model: Model,
    state: TrainState,
    images: UInt8[Array, "batch height width 3"],
    hyper: Hyper,
    key: PRNGKeyArray,
) -> TrainState:
    """One update of both networks. `state` is donated; `key` is the run's, the same each step."""
    key = jax.random.fold_in(key, state.step)
    grads_g, grads_d, state = gradients(model, state, images, hyper, key)
    factor = model.schedule(state.step, hyper.total)
    generator = _update(model, state.generator, grads_g, factor * hyper.learning_rate_g)
    discriminator = state.discriminator
    if discriminator is not None:
        discriminator = _update(model, discriminator, grads_d, factor * hyper.learning_rate_d)
    average = state.average
    if average is not None:
        average = _averaged(average, generator.variables, hyper.ema_decay, state.step)
    return state.replace(
        step=state.step + 1, generator=generator, discriminator=discriminator, average=average
    )


@jax.jit
def finite(state: TrainState) -> Float[Array, ""]:
    """Whether every number of the state is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]))


def fill(
    model: Model,
    generator: Variables,
    images: UInt8[Array, "batch height width 3"],
    mask: masks.Mask,
    colour: Float[Array, " 3"],
) -> Float[Array, "batch height width 3"]:
    """The composites of images in [-1, 1]: their own pixels, and the generator's in the hole.

    BatchNorm uses its running statistics, so an image's fill does not depend on its batch.
    """
    real, views = masks.to_float(images), model.prediction
    prediction: Any = model.generator.apply(generator, views.given(real, mask, colour), train=False)
    # Over the masked image: were a missing pixel outside of the window, it would show as missing.
    composite = views.composite(masks.apply(real, mask, colour), prediction, mask)
    return jnp.where(mask > 0, composite, real)


@functools.partial(jax.jit, static_argnums=0)
def eval_step(
    model: Model,
    generator: Variables,
    images: UInt8[Array, "batch height width 3"],
    mask: masks.Mask,
    colour: Float[Array, " 3"],
) -> tuple[Float[Array, "batch height width 3"], per_image.PerImage]:
    """The composites, and each image's metrics for the generator's fill of its hole."""
    filled = fill(model, generator, images, mask, colour)
    return filled, per_image.per_image(masks.to_float(images), filled, mask)


def _update(model: Model, network: Network, grads: Any, learning_rate: Array) -> Network:
    direction, opt_state = model.optimizer.update(grads, network.opt_state, network.params)
    params = jax.tree.map(lambda p, d: p - learning_rate * d, network.params, direction)
    return network.replace(params=params, opt_state=opt_state)


def _averaged(average: Variables, latest: Variables, decay: Array, step: Array) -> Variables:
    """An exponential moving average whose decay rises to `decay` over the first steps.

    By min(decay, (1 + step) / (10 + step)), as TensorFlow's, so that the first weights fade fast.
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, average, latest)
