"""The gradients of one step.

It draws masks, runs the generator once, and gives both networks' gradients from the same fills
(simultaneous gradient steps). BatchNorm statistics: the generator's come from its own pass; the
discriminator's are threaded through the real pixels, then the filled ones, each normalised by its
own batch. Over a sharded batch they are global, since the whole step is one program.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ctxenc import losses, masks
from ctxenc.state import MISSING, Hyper, Losses, Model, TrainState


def gradients(
    model: Model,
    state: TrainState,
    images: UInt8[Array, "batch height width 3"],
    hyper: Hyper,
    key: PRNGKeyArray,
) -> tuple[Any, Any, TrainState]:
    """Gradients of the generator's and the discriminator's loss at `state`.

    Returns:
        (generator's, discriminator's or None, the state with its BatchNorm statistics and window
        moved on).
    """
    key_flip, key_mask = jax.random.split(key)
    images = masks.to_float(images)
    if model.flip:
        images = random_flip(key_flip, images)
    mask, views = model.mask(key_mask, *images.shape[:3]), model.prediction

    generator = state.generator
    prediction, pull_generator, stats = jax.vjp(
        lambda params: _run(
            model.generator, params, generator.batch_stats, views.given(images, mask, hyper.fill)
        ),
        generator.params,
        has_aux=True,
    )

    def compared(prediction: losses.Window) -> tuple[losses.Scalar, Losses]:
        target = views.cut(images, mask)
        weights = jnp.where(views.cut(mask, mask) > 0, 1.0, hyper.context_weight)
        pixelwise = model.reconstruction(prediction, target, weights)
        terms, total = {"pixelwise": pixelwise}, hyper.lambda_rec * pixelwise
        if model.seam is not None:
            terms["seam"] = model.seam(views.composite(images, prediction, mask), mask)
            total = total + hyper.lambda_seam * terms["seam"]
        return total, terms

    (total, found), to_prediction = jax.value_and_grad(compared, has_aux=True)(prediction)
    grads_d, discriminator = None, state.discriminator
    if discriminator is not None:
        real = views.judged(images, views.cut(images, mask), mask)
        fake, pull_fake = jax.vjp(lambda window: views.judged(images, window, mask), prediction)
        grads_d, to_fake, judge_stats, judged = _judge(model, state, real, fake, hyper)
        to_prediction = to_prediction + hyper.lambda_adv * pull_fake(to_fake)[0]
        total = total + hyper.lambda_adv * judged["adversarial"]
        discriminator = discriminator.replace(batch_stats=judge_stats)
        found |= judged

    (grads_g,) = pull_generator(to_prediction)
    found |= {"generator": total, MISSING: jnp.mean(mask), "steps": jnp.ones(())}
    window = {name: total + found.get(name, 0.0) for name, total in state.window.items()}
    state = state.replace(
        generator=generator.replace(batch_stats=stats), discriminator=discriminator, window=window
    )
    return grads_g, grads_d, state


def _judge(
    model: Model, state: TrainState, real: losses.Window, fake: losses.Window, hyper: Hyper
) -> tuple[Any, losses.Window, Any, Losses]:
    """The discriminator's side of a step.

    It runs once on the fakes and is pulled back twice: for its own loss to its parameters, and for
    the generator's adversarial loss to the fakes.

    Returns:
        (gradient of its loss, gradient of the adversarial loss with respect to the fakes, its
        BatchNorm statistics, losses and accuracies).
    """
    module, network, loss = model.discriminator, state.discriminator, model.adversarial
    assert module is not None
    assert network is not None
    assert loss is not None

    logits_real, pull_real, stats = jax.vjp(
        lambda params: _run(module, params, network.batch_stats, real),
        network.params,
        has_aux=True,
    )
    logits_fake, pull_fake, stats = jax.vjp(
        lambda params, pixels: _run(module, params, stats, pixels),
        network.params,
        fake,
        has_aux=True,
    )
    loss_real, to_real = jax.value_and_grad(loss.real)(logits_real)
    loss_fake, to_fake = jax.value_and_grad(loss.fake)(logits_fake)
    adversarial, to_fool = jax.value_and_grad(loss.fool)(logits_fake)

    grads = jax.tree.map(lambda a, b: 0.5 * (a + b), pull_real(to_real)[0], pull_fake(to_fake)[0])
    total = 0.5 * (loss_real + loss_fake)
    found = {
        "adversarial": adversarial,
        "real": loss_real,
        "fake": loss_fake,
        "accuracy_real": jnp.mean(logits_real > loss.threshold, dtype=jnp.float32),
        "accuracy_fake": jnp.mean(logits_fake < loss.threshold, dtype=jnp.float32),
    }
    penalty = model.penalty
    if penalty is not None:

        def penalised(params: Any) -> losses.Scalar:
            batch_stats = network.batch_stats
            return penalty(lambda pixels: _run(module, params, batch_stats, pixels)[0], real)

        found["penalty"], to_params = jax.value_and_grad(penalised)(network.params)
        grads = jax.tree.map(lambda a, b: a + hyper.lambda_r1 * b, grads, to_params)
        total = total + hyper.lambda_r1 * found["penalty"]
    found["discriminator"] = total
    return grads, pull_fake(to_fool)[1], stats, found


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
