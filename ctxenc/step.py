"""The training step: both objectives as formulas, their gradients, the update.

Pure functions of arrays; they know nothing of files, configurations or run folders.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from ctxenc import features, masks
from ctxenc.errors import UserError
from ctxenc.models.layers import STAGES
from ctxenc.state import (
    Hyperparameters,
    Logged,
    Model,
    NetworkState,
    TrainState,
    Variables,
    matched,
)

Images = UInt8[Array, "batch height width 3"]
Pixels = Float[Array, "batch height width 3"]
Labels = Int[Array, " batch"]


class Params(NamedTuple):
    """What is differentiated: both networks' parameters, and a label head's."""

    generator: Any
    discriminator: Any
    head: Any = None


class Statistics(NamedTuple):
    """Both networks' BatchNorm statistics after a step."""

    generator: Any
    discriminator: Any


def objectives(
    params: Params,
    model: Model,
    state: TrainState,
    images: Pixels,
    mask: masks.Mask,
    hyper: Hyperparameters,
    labels: Labels | None = None,
) -> tuple[Float[Array, ""], tuple[Statistics, Logged]]:
    """L_G + L_D, whose gradient holds each network's own, and what is logged.

    Notation: x̂ is what the generator G is given of an image, y the window of it that G predicts, D
    the discriminator (Pathak et al., 2016, equations 1 to 3; `ctxenc.losses` has the terms)::

        L_G = λ_rec · reconstruction(G(x̂), y) + λ_adv · generator(D(G(x̂))) + λ_seam · seam
              + λ_label · label(head(E(x̂)), class)
        L_D = ½ · [discriminator_real(D(y)) + discriminator_fake(D(G(x̂)))] + λ_r1 · penalty(D, y)

    where the seam's term is of the composite and the mask, E is G's encoder to its last stage, and
    D sees of y and G(x̂) what `discriminator_input` says.

    L_G takes D's parameters for constants, and L_D takes G's output for one, so one gradient of the
    sum gives both (simultaneous gradient steps). D runs on G's output once for each objective, and
    XLA merges the two passes. BatchNorm normalises each batch by itself; D's running statistics are
    threaded through the real pixels, then the generated ones, and G's come from its own pass.
    """
    loss, geometry = model.loss, model.geometry
    target = geometry.window_of(images, mask)
    predicted, stats_g, collections = _network(
        "model.generator",
        target.shape,
        model.generator,
        params.generator,
        state.generator.batch_stats,
        geometry.generator_input(images, mask, hyper["fill_value"]),
    )
    weights = jnp.where(geometry.window_of(mask, mask) > 0, 1.0, hyper["context_weight"])
    reconstruction = _scalar("reconstruction", loss.reconstruction, predicted, target, weights)
    loss_g = hyper["lambda_rec"] * reconstruction
    logged = {"reconstruction_loss": reconstruction, "masked_fraction": jnp.mean(mask)}

    if loss.seam is not None:
        seam = _scalar("seam", loss.seam, geometry.composite(images, predicted, mask), mask)
        loss_g = loss_g + hyper["lambda_seam"] * seam
        logged["seam_loss"] = seam

    if loss.label is not None and model.label_head is not None:
        *_, last_stage = features.sown(model, collections).values()  # in the encoder's order
        logits: Any = model.label_head.apply({"params": params.head}, last_stage, train=True)
        label = _scalar("label", loss.label, logits, labels)
        loss_g = loss_g + hyper["lambda_label"] * label
        logged["label_loss"] = label
        right = jnp.argmax(logits, axis=-1) == labels
        logged["label_accuracy"] = jnp.mean(right, dtype=jnp.float32)

    if model.discriminator is None or loss.adversarial is None or state.discriminator is None:
        logged["generator_loss"] = loss_g
        return loss_g, (Statistics(stats_g, None), logged)

    adversarial, judge = loss.adversarial, model.discriminator

    def discriminator(params: Any, batch_stats: Any, pixels: Array) -> tuple[Array, Any]:
        part, shape = "model.discriminator", (len(images),)
        return _network(part, shape, judge, params, batch_stats, pixels)[:2]

    before = state.discriminator.batch_stats
    real = geometry.discriminator_sees(images, target, mask)
    fake = geometry.discriminator_sees(images, predicted, mask)
    on_real, after_real = discriminator(params.discriminator, before, real)
    on_fake, stats_d = discriminator(params.discriminator, after_real, stop_gradient(fake))
    fooled, _ = discriminator(stop_gradient(params.discriminator), after_real, fake)

    adversarial_loss = _scalar("adversarial", adversarial.generator, fooled)
    loss_g = loss_g + hyper["lambda_adv"] * adversarial_loss
    loss_real = _scalar("adversarial", adversarial.discriminator_real, on_real)
    loss_fake = _scalar("adversarial", adversarial.discriminator_fake, on_fake)
    loss_d = 0.5 * (loss_real + loss_fake)

    if loss.gradient_penalty is not None:
        penalty = _scalar(
            "gradient_penalty",
            loss.gradient_penalty,
            lambda pixels: discriminator(params.discriminator, before, pixels)[0],
            real,
        )
        loss_d = loss_d + hyper["lambda_r1"] * penalty
        logged["gradient_penalty"] = penalty

    threshold = getattr(adversarial, "decision_threshold", 0.0)
    logged |= {
        "generator_loss": loss_g,
        "adversarial_loss": adversarial_loss,
        "discriminator_loss": loss_d,
        "discriminator_loss_real": loss_real,
        "discriminator_loss_fake": loss_fake,
        "accuracy_real": jnp.mean(on_real > threshold, dtype=jnp.float32),
        "accuracy_fake": jnp.mean(on_fake < threshold, dtype=jnp.float32),
    }
    return loss_g + loss_d, (Statistics(stats_g, stats_d), logged)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(
    model: Model,
    state: TrainState,
    images: Images,
    hyper: Hyperparameters,
    key: PRNGKeyArray,
    labels: Labels | None = None,
) -> tuple[TrainState, Logged]:
    """One update of both networks.

    Args:
        model: what is trained.
        state: before the step; it is donated.
        images: of the batch.
        hyper: the run's numbers.
        key: the run's, the same each step: a step's randomness is a function of it and the step.
        labels: the images' classes, where there is a label head.

    Returns:
        (the state after the step; what the step reports, computed with the weights before it, and
        ``steps``, a 1 by which sums count their steps).
    """
    key_flip, key_mask = jax.random.split(jax.random.fold_in(key, state.step))
    pixels = masks.to_float(images)
    if model.flip:
        pixels = random_flip(key_flip, pixels)
    shape, key_augment = pixels.shape, jax.random.fold_in(key_flip, 1)
    pixels = _called("augment", model.augment, key_augment, pixels)
    _expect(shape, pixels, "augment")
    mask = _called("mask", model.mask, key_mask, *pixels.shape[:3])
    _expect((*pixels.shape[:3], 1), mask, "mask")
    networks = state.generator, state.discriminator, state.head
    params = Params(*(getattr(network, "params", None) for network in networks))
    with model.matmul_precision():
        grads, (stats, logged) = jax.grad(objectives, has_aux=True)(
            params, model, state, pixels, mask, hyper, labels
        )
    factor = _called("schedule", model.schedule, state.step, hyper["total_steps"])

    def updated(network: NetworkState, grads: Any, stats: Any, rate: str) -> NetworkState:
        return _update(model, network, grads, factor * hyper[rate]).replace(batch_stats=stats)

    generator = updated(state.generator, grads.generator, stats.generator, "learning_rate_g")
    discriminator, ema, head, head_ema = state.discriminator, state.ema, state.head, state.head_ema
    if discriminator is not None:
        discriminator = updated(
            discriminator, grads.discriminator, stats.discriminator, "learning_rate_d"
        )
    if head is not None:
        head = updated(head, grads.head, head.batch_stats, "learning_rate_g")
    if ema is not None:
        ema = _averaged(ema, generator.variables, hyper["ema_decay"], state.step)
    if head is not None and head_ema is not None:
        head_ema = _averaged(head_ema, head.variables, hyper["ema_decay"], state.step)
    logged["steps"] = jnp.ones(())
    after = state.replace(
        step=state.step + 1,
        generator=generator,
        discriminator=discriminator,
        ema=ema,
        head=head,
        head_ema=head_ema,
    )
    return after, logged


@functools.partial(
    jax.jit,
    static_argnums=(0, 2),
    # It runs once: optimizing it would take LLVM seconds (7.7 instead of 1.6) for nothing.
    compiler_options={"xla_backend_optimization_level": 1},
)
def init(
    model: Model,
    key: PRNGKeyArray,
    image_size: int,
    weights: dict[str, Variables] | None = None,
) -> TrainState:
    """A fresh state: the networks' weights, drawn from `key`, their optimizers and averages.

    Of `weights`, another run's ``generator`` and ``discriminator``, those that fit take their place
    (`ctxenc.state.matched`).
    """
    key_g, key_d = jax.random.split(key)
    geometry = model.geometry

    def network(part: str, module: nn.Module, key: PRNGKeyArray, *shape: int) -> NetworkState:
        blank = jnp.zeros((1, *shape))
        variables = _called(part, functools.partial(module.init, train=False), key, blank)
        if given := (weights or {}).get(part.removeprefix("model.")):
            fresh = {name: variables.get(name, {}) for name in ("params", "batch_stats")}
            chosen, _ = matched(fresh, given)
            variables = jax.tree.map(lambda new, old: jnp.array(new, old.dtype), chosen, fresh)
        params, stats = variables["params"], variables.get("batch_stats", {})
        return NetworkState(params, stats, _called("optimizer", model.optimizer.init, params))

    size = image_size, image_size
    generator = network("model.generator", model.generator, key_g, *size, geometry.channels)
    discriminator = None
    if model.discriminator is not None:
        size = geometry.discriminator_size(image_size)
        discriminator = network("model.discriminator", model.discriminator, key_d, *size, 3)
    head = None
    if model.label_head is not None:
        *_, last_stage = features.stages(
            model, generator.variables, jnp.zeros((1, image_size, image_size, 3))
        ).values()
        key_head = jax.random.fold_in(key_g, 1)
        head = network("model.label_head", model.label_head, key_head, *last_stage.shape[1:])
    averages = [
        jax.tree.map(jnp.copy, of.variables) if model.averaged and of is not None else None
        for of in (generator, head)
    ]
    ema, head_ema = averages
    step = jnp.zeros((), jnp.int32)
    return TrainState(step, generator, discriminator, ema, head, head_ema)


@jax.jit
def add(sums: Logged, logged: Logged) -> Logged:
    """Running sums of what steps report, on the device: adding them makes no step wait."""
    return jax.tree.map(jnp.add, sums, logged)


@jax.jit
def finite(state: TrainState) -> Bool[Array, ""]:
    """Whether every number of the state is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]))


@functools.partial(jax.jit, static_argnums=0)
def fill(
    model: Model,
    generator: Variables,
    images: Images,
    mask: masks.Mask,
    fill_value: Float[Array, " 3"],
) -> Pixels:
    """The composites, in [-1, 1]: each image's own pixels, and the generator's in the hole.

    BatchNorm uses its running statistics, so an image's fill does not depend on its batch.
    """
    real, geometry = masks.to_float(images), model.geometry
    given = geometry.generator_input(real, mask, fill_value)
    with model.matmul_precision():
        predicted: Any = model.generator.apply(generator, given, train=False)
    # Onto the masked image: a missing pixel outside of the window would show the fill value.
    composite = geometry.composite(masks.apply(real, mask, fill_value), predicted, mask)
    return jnp.where(mask > 0, composite, real)


@functools.partial(jax.jit, static_argnums=0)
def classified(model: Model, generator: Variables, head: Variables, images: Images) -> Labels:
    """The class of each image, by a label head on the generator's encoder: the likeliest.

    The encoder is given the whole images, and BatchNorm uses its running statistics.
    """
    assert model.label_head is not None
    *_, last_stage = features.stages(model, generator, masks.to_float(images)).values()
    logits: Any = model.label_head.apply(head, last_stage, train=False)
    return jnp.argmax(logits, axis=-1)


def random_flip(key: PRNGKeyArray, images: Pixels) -> Pixels:
    """Each image flipped left to right with probability one half."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def _called(part: str, function: Callable[..., Any], *args: Any) -> Any:
    """What a part of the model, maybe the user's own, returns; what it raises is put down to it."""
    try:
        return function(*args)
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(f"{part}: {reason}") from error


def _expect(shape: tuple[int, ...], value: Any, part: str) -> None:
    """Refuse what a part of the model returns in another shape, while the step is traced."""
    if (found := getattr(value, "shape", type(value).__name__)) != shape:
        raise UserError(f"{part}: returned an array of shape {found}; expected {shape}")


def _scalar(term: str, function: Callable[..., Any], *args: Any) -> Float[Array, ""]:
    """A term of the loss."""
    value = _called(f"loss.{term}", function, *args)
    _expect((), value, f"loss.{term}")
    return value


def _network(
    part: str, shape: tuple[int, ...], module: nn.Module, params: Any, batch_stats: Any, x: Array
) -> tuple[Array, Any, dict[str, Any]]:
    """A training pass: the output, of this shape, new BatchNorm statistics, all collections."""
    variables = {"params": params, "batch_stats": batch_stats}
    apply = functools.partial(module.apply, train=True, mutable=["batch_stats", STAGES])
    output, updated = _called(part, apply, variables, x)
    _expect(shape, output, part)
    return output, updated.get("batch_stats", batch_stats), dict(updated)


def _update(model: Model, network: NetworkState, grads: Any, learning_rate: Array) -> NetworkState:
    opt_state = optax.tree.set(network.opt_state, learning_rate=learning_rate)
    updates, opt_state = model.optimizer.update(grads, opt_state, network.params)
    return network.replace(params=optax.apply_updates(network.params, updates), opt_state=opt_state)


def _averaged(ema: Variables, latest: Variables, decay: Array, step: Array) -> Variables:
    """An exponential moving average whose decay rises to `decay` over the first steps.

    By min(decay, (1 + step) / (10 + step)), as TensorFlow's, so that the first weights fade fast.
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, ema, latest)
