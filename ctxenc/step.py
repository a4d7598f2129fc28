"""The training step: pure functions from state and images to new state, and nothing else.

One step draws masks, runs the generator once, and updates both networks from the same fills
(simultaneous gradient steps). BatchNorm statistics: the generator's come from its own pass; the
discriminator's are threaded through the real holes, then the filled ones, each normalised by its
own batch. Over a sharded batch they are global, since the whole step is one program.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ctxenc import losses, masks, metrics

Variables = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Gan:
    """What is trained: static, hashed by identity, one compiled program for each.

    `discriminator` and `adversarial` are None where the reconstruction loss stands alone.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    reconstruction: Callable[[losses.Holes, losses.Holes], losses.Scalar]
    adversarial: losses.Adversarial | None
    mask: masks.MaskStrategy
    optimizer: optax.GradientTransformation
    hole: tuple[int, int]
    flip: bool


class Hyper(struct.PyTreeNode):
    """Numeric hyper-parameters: traced, so that changing one never recompiles."""

    lambda_rec: Float[Array, ""]
    lambda_adv: Float[Array, ""]
    learning_rate_g: Float[Array, ""]
    learning_rate_d: Float[Array, ""]
    fill: Float[Array, " 3"]


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
    "generator",  # lambda_rec · pixelwise + lambda_adv · adversarial: what the generator minimises
    "pixelwise",
    "adversarial",
    "discriminator",  # the mean of real and fake: what the discriminator minimises
    "real",
    "fake",
    "accuracy_real",  # share of real holes that the discriminator takes for real
    "accuracy_fake",
)


class GanState(struct.PyTreeNode):
    """Everything that a step changes. `window` sums the losses, and the steps, since last read."""

    step: Array
    generator: Network
    discriminator: Network | None
    window: Losses


@functools.partial(
    jax.jit,
    static_argnums=(0, 2),
    # It runs once: optimizing it would take LLVM seconds (7.7 instead of 1.6) for nothing.
    compiler_options={"xla_backend_optimization_level": 1},
)
def init(gan: Gan, key: PRNGKeyArray, image_size: int) -> GanState:
    """A fresh state: both networks' initial weights, drawn from `key`."""
    key_g, key_d = jax.random.split(key)

    def network(module: nn.Module, key: PRNGKeyArray, shape: tuple[int, ...]) -> Network:
        variables = module.init(key, jnp.zeros(shape), train=False)
        params = variables["params"]
        return Network(params, variables.get("batch_stats", {}), gan.optimizer.init(params))

    return GanState(
        step=jnp.zeros((), jnp.int32),
        generator=network(gan.generator, key_g, (1, image_size, image_size, 3)),
        discriminator=(
            None
            if gan.discriminator is None
            else network(gan.discriminator, key_d, (1, *gan.hole, 3))
        ),
        window=empty_window(),
    )


def empty_window() -> Losses:
    """Loss sums before the first step."""
    return {name: jnp.zeros(()) for name in (*LOSSES, "steps")}


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(
    gan: Gan,
    state: GanState,
    images: UInt8[Array, "batch height width 3"],
    hyper: Hyper,
    key: PRNGKeyArray,
) -> GanState:
    """One update of both networks. `state` is donated; `key` is the run's, the same each step."""
    key = jax.random.fold_in(key, state.step)
    grads_g, grads_d, state = gradients(gan, state, images, hyper, key)
    discriminator = state.discriminator
    if discriminator is not None:
        discriminator = _update(gan, discriminator, grads_d, hyper.learning_rate_d)
    return state.replace(
        step=state.step + 1,
        generator=_update(gan, state.generator, grads_g, hyper.learning_rate_g),
        discriminator=discriminator,
    )


def gradients(
    gan: Gan,
    state: GanState,
    images: UInt8[Array, "batch height width 3"],
    hyper: Hyper,
    key: PRNGKeyArray,
) -> tuple[Any, Any, GanState]:
    """Gradients of the generator's and the discriminator's loss at `state`.

    Returns:
        (generator's, discriminator's or None, the state with its BatchNorm statistics and window
        moved on).
    """
    key_flip, key_mask = jax.random.split(key)
    images = masks.to_float(images)
    if gan.flip:
        images = random_flip(key_flip, images)
    mask = gan.mask(key_mask, *images.shape[:3])
    holes = masks.crop(images, masks.corners(mask), gan.hole)
    context = masks.apply(images, mask, hyper.fill)

    generator = state.generator
    fills, pull_generator, stats = jax.vjp(
        lambda params: _run(gan.generator, params, generator.batch_stats, context),
        generator.params,
        has_aux=True,
    )
    pixelwise, to_fills = jax.value_and_grad(gan.reconstruction)(fills, holes)
    to_fills = hyper.lambda_rec * to_fills
    found = {"pixelwise": pixelwise}

    grads_d, discriminator = None, state.discriminator
    if discriminator is not None:
        grads_d, adversarial_to_fills, judge_stats, judged = _judge(gan, state, holes, fills)
        to_fills = to_fills + hyper.lambda_adv * adversarial_to_fills
        discriminator = discriminator.replace(batch_stats=judge_stats)
        found |= judged
    adversarial = found.get("adversarial", jnp.zeros(()))
    found["generator"] = hyper.lambda_rec * pixelwise + hyper.lambda_adv * adversarial

    (grads_g,) = pull_generator(to_fills)
    found["steps"] = jnp.ones(())
    window = {name: total + found.get(name, 0.0) for name, total in state.window.items()}
    state = state.replace(
        generator=generator.replace(batch_stats=stats), discriminator=discriminator, window=window
    )
    return grads_g, grads_d, state


def _judge(
    gan: Gan, state: GanState, holes: losses.Holes, fills: losses.Holes
) -> tuple[Any, losses.Holes, Any, Losses]:
    """The discriminator's side of a step.

    It runs once on the fills and is pulled back twice: for its own loss to its parameters, and for
    the generator's adversarial loss to the fills.

    Returns:
        (gradient of its loss, gradient of the adversarial loss with respect to the fills, its
        BatchNorm statistics, losses and accuracies).
    """
    module, network, loss = gan.discriminator, state.discriminator, gan.adversarial
    assert module is not None
    assert network is not None
    assert loss is not None

    logits_real, pull_real, stats = jax.vjp(
        lambda params: _run(module, params, network.batch_stats, holes),
        network.params,
        has_aux=True,
    )
    logits_fake, pull_fake, stats = jax.vjp(
        lambda params, holes: _run(module, params, stats, holes),
        network.params,
        fills,
        has_aux=True,
    )
    real, to_real = jax.value_and_grad(loss.real)(logits_real)
    fake, to_fake = jax.value_and_grad(loss.fake)(logits_fake)
    adversarial, to_fool = jax.value_and_grad(loss.fool)(logits_fake)

    grads = jax.tree.map(lambda a, b: 0.5 * (a + b), pull_real(to_real)[0], pull_fake(to_fake)[0])
    found = {
        "adversarial": adversarial,
        "discriminator": 0.5 * (real + fake),
        "real": real,
        "fake": fake,
        "accuracy_real": jnp.mean(logits_real > 0, dtype=jnp.float32),
        "accuracy_fake": jnp.mean(logits_fake < 0, dtype=jnp.float32),
    }
    return grads, pull_fake(to_fool)[1], stats, found


@jax.jit
def finite(state: GanState) -> Float[Array, ""]:
    """Whether every number of the state is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]))


def fill(
    gan: Gan,
    generator: Variables,
    images: UInt8[Array, "batch height width 3"],
    mask: masks.Mask,
    colour: Float[Array, " 3"],
) -> Float[Array, "batch height width 3"]:
    """The composites of images in [-1, 1]: their own pixels, and the generator's in the hole.

    BatchNorm uses its running statistics, so an image's fill does not depend on its batch.
    """
    real = masks.to_float(images)
    fills: Any = gan.generator.apply(generator, masks.apply(real, mask, colour), train=False)
    # Pasted into the masked image: were a missing pixel outside the box, it would show as missing.
    composite = masks.paste(masks.apply(real, mask, colour), fills, masks.corners(mask))
    return jnp.where(mask > 0, composite, real)


@functools.partial(jax.jit, static_argnums=0)
def eval_step(
    gan: Gan,
    generator: Variables,
    images: UInt8[Array, "batch height width 3"],
    mask: masks.Mask,
    colour: Float[Array, " 3"],
) -> tuple[Float[Array, "batch height width 3"], metrics.PerImage]:
    """The composites, and each image's metrics for the generator's fill of its hole."""
    filled = fill(gan, generator, images, mask, colour)
    return filled, metrics.per_image(masks.to_float(images), filled, mask)


def random_flip(
    key: PRNGKeyArray, images: Float[Array, "batch height width 3"]
) -> Float[Array, "batch height width 3"]:
    """Each image flipped left to right with probability one half."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def _run(module: nn.Module, params: Any, batch_stats: Any, inputs: Array) -> tuple[Array, Any]:
    """A training pass: the module's output and its new BatchNorm statistics."""
    output, updated = module.apply(
        {"params": params, "batch_stats": batch_stats}, inputs, train=True, mutable=["batch_stats"]
    )
    return output, updated.get("batch_stats", batch_stats)


def _update(gan: Gan, network: Network, grads: Any, learning_rate: Array) -> Network:
    direction, opt_state = gan.optimizer.update(grads, network.opt_state, network.params)
    params = jax.tree.map(lambda p, d: p - learning_rate * d, network.params, direction)
    return network.replace(params=params, opt_state=opt_state)
