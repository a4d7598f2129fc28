"""The step: every parameter moves, gradients are those of the losses as written, nothing leaks."""

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ctxenc import losses, masks, optim, step
from ctxenc.errors import UserError
from ctxenc.geometry import Geometry
from ctxenc.masks import boxes
from ctxenc.models.generator import Generator
from tests import compiling
from tests.tiny import hyper, tiny_model


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@functools.partial(jax.jit, static_argnums=0)
def gradients(model, state, images, weights, key):
    """(both networks' gradients, statistics, what is logged), with the masks of the run's step."""
    key_flip, key_mask = jax.random.split(key)
    pixels = masks.to_float(images)
    pixels = step.random_flip(key_flip, pixels) if model.flip else pixels
    mask = model.mask(key_mask, *pixels.shape[:3])
    params = step.Params(state.generator.params, state.discriminator.params)
    with model.matmul_precision():
        grads, found = jax.grad(step.objectives, has_aux=True)(
            params, model, state, pixels, mask, weights
        )
    return grads, *found


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture
def state(model, key):
    return step.init(model, key, 16)


def test_one_step_changes_every_parameter_tensor_of_both_networks(model, state, images, key):
    before = jax.tree.map(np.array, state)
    after, _ = step.train_step(model, state, images, hyper(), key)
    assert int(after.step) == 1
    for old, new in (
        (before.generator, after.generator),
        (before.discriminator, after.discriminator),
    ):
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), old.params, new.params)
        assert all(jax.tree.leaves(changed)), changed
        assert (flat(old.batch_stats) != flat(new.batch_stats)).all()


def test_the_discriminator_learns_to_tell_real_from_filled(model, state, images, key):
    for _ in range(60):
        state, logged = step.train_step(model, state, images, hyper(learning_rate_g=0.0), key)
    assert float(logged["discriminator_loss"]) < 0.4
    assert float(logged["accuracy_fake"]) > 0.8


def test_the_adversarial_gradient_is_exactly_proportional_to_lambda_adv(model, state, images, key):
    def gradient(lambda_rec, lambda_adv):
        weights = hyper(lambda_rec=lambda_rec, lambda_adv=lambda_adv)
        return flat(gradients(model, state, images, weights, key)[0].generator)

    one = gradient(0.0, 2.0**-10)
    assert np.abs(one).max() > 0
    np.testing.assert_array_equal(gradient(0.0, 2.0**-8), 4 * one)
    np.testing.assert_array_equal(gradient(0.0, 0.0), 0 * one)
    both = gradient(1.0, 2.0**-10)
    np.testing.assert_allclose(both, gradient(1.0, 0.0) + one, rtol=1e-4, atol=1e-7)


def with_loss(model, **terms):
    return dataclasses.replace(model, loss=dataclasses.replace(model.loss, **terms))


def whole_image(**views):
    generator = Generator(output_size=(16, 16), widths=(4, 8), decoder_widths=(8,))
    views = Geometry(window=(16, 16), whole=True, box=(8, 8), **views)
    return dataclasses.replace(tiny_model(), generator=generator, geometry=views)


def with_band():
    mask = functools.partial(boxes.random_box, mask_height=8, mask_width=8, overlap=0.25)
    views = Geometry(window=(8, 8), box=(8, 8), band=2)
    return dataclasses.replace(tiny_model(), mask=mask, geometry=views)


VARIANTS = {
    "hole": tiny_model,
    "band": with_band,
    "image": lambda: with_loss(whole_image(), adversarial=losses.Hinge()),
    "composite": lambda: with_loss(
        whole_image(discriminator_input="composite", mask_channel=True), seam=losses.seam
    ),
    "penalty": lambda: with_loss(tiny_model(), gradient_penalty=losses.r1),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_those_of_the_losses_as_written(variant, images, key):
    """Against a plain differentiation of each network's whole loss, with no shared passes."""
    model = VARIANTS[variant]()
    state = step.init(model, key, 16)
    weights = hyper(
        lambda_rec=0.7, lambda_adv=0.3, lambda_seam=0.2, lambda_r1=0.1, context_weight=10.0
    )
    grads, _, logged = gradients(model, state, images, weights, key)
    key_flip, key_mask = jax.random.split(key)
    real = step.random_flip(key_flip, masks.to_float(images))
    mask = model.mask(key_mask, *real.shape[:3])
    context = jnp.where(mask > 0, weights["fill_value"], real)
    if model.geometry.mask_channel:
        context = jnp.concatenate([context, mask], -1)
    target, missing = (model.geometry.window_of(x, mask) for x in (real, mask))

    def sees(window):
        return model.geometry.discriminator_sees(real, window, mask)

    seen_real = sees(target)

    def run(module, network, params, x, stats=None):
        stats = network.batch_stats if stats is None else stats
        variables = {"params": params, "batch_stats": stats}
        out, new = module.apply(variables, x, train=True, mutable=["batch_stats"])
        return out, new["batch_stats"]

    def generator_loss(params):
        fills, _ = run(model.generator, state.generator, params, context)
        d = state.discriminator
        _, stats = run(model.discriminator, d, d.params, seen_real)
        logits, _ = run(
            model.discriminator,
            d,
            d.params,
            sees(fills),
            stats,
        )
        errors = jnp.where(missing > 0, 1, 10) * (fills - target) ** 2
        total = 0.7 * jnp.mean(errors) + 0.3 * model.loss.adversarial.generator(logits)
        if model.loss.seam:
            total += 0.2 * model.loss.seam(jnp.where(mask > 0, fills, real), mask)
        return total

    def discriminator_loss(params):
        fills, _ = run(model.generator, state.generator, state.generator.params, context)
        d = state.discriminator
        on_real, stats = run(model.discriminator, d, params, seen_real)
        seen_fake = sees(fills)
        on_fake, _ = run(model.discriminator, d, params, seen_fake, stats)
        total = 0.5 * (
            model.loss.adversarial.discriminator_real(on_real)
            + model.loss.adversarial.discriminator_fake(on_fake)
        )
        if model.loss.gradient_penalty:
            slope = jax.grad(lambda x: run(model.discriminator, d, params, x)[0].sum())(seen_real)
            total += 0.1 * 0.5 * jnp.mean((slope**2).sum((1, 2, 3)))
        return total

    loss_g, expected_g = jax.jit(jax.value_and_grad(generator_loss))(state.generator.params)
    loss_d, expected_d = jax.jit(jax.value_and_grad(discriminator_loss))(state.discriminator.params)
    np.testing.assert_allclose(flat(grads.generator), flat(expected_g), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(flat(grads.discriminator), flat(expected_d), rtol=1e-3, atol=1e-6)
    assert float(logged["generator_loss"]) == pytest.approx(float(loss_g), rel=1e-4)
    assert float(logged["discriminator_loss"]) == pytest.approx(float(loss_d), rel=1e-4)
    assert float(logged["masked_fraction"]) == pytest.approx(float(mask.mean()))


def test_an_overlap_weighs_its_band_ten_times(images, key):
    """By hand: a band of 2 in a box of 8 is 48 of 64 pixels, the missing middle 16."""
    model = with_band()
    state = step.init(model, key, 16)
    black = jnp.zeros_like(images)
    dark = jax.tree.map(jnp.zeros_like, state.generator.params)  # predicts 0, grey, everywhere
    state = state.replace(generator=state.generator.replace(params=dark))
    *_, logged = gradients(model, state, black, hyper(1.0, 0.0, context_weight=10.0), key)
    assert float(logged["reconstruction_loss"]) == pytest.approx((48 * 10 + 16) / 64)
    assert float(logged["masked_fraction"]) == pytest.approx(16 / 256)


def test_the_average_follows_the_weights_and_is_what_is_tested(images, key):
    averaged = dataclasses.replace(tiny_model(), averaged=True)
    state = step.init(averaged, key, 16)
    first = jax.tree.map(np.array, state.generator.variables)
    state, _ = step.train_step(averaged, state, images, hyper(ema_decay=0.5), key)
    second = jax.tree.map(np.array, state.generator.variables)
    # Its decay starts at (1 + 0) / (10 + 0) and may rise to 0.5, not above.
    expected = 0.1 * flat(first) + 0.9 * flat(second)
    np.testing.assert_allclose(flat(state.ema), expected, rtol=1e-5, atol=1e-6)
    assert flat(state.evaluated).tolist() == flat(state.ema).tolist()
    late = state.replace(step=jnp.int32(1000))
    before = flat(jax.tree.map(np.array, state.ema))
    after, _ = step.train_step(averaged, late, images, hyper(ema_decay=0.5), key)
    expected = 0.5 * before + 0.5 * flat(after.generator.variables)
    np.testing.assert_allclose(flat(after.ema), expected, rtol=1e-5, atol=1e-6)


def test_a_schedule_scales_both_rates(model, state, images, key):
    """Where the factor is 0 nothing moves but the statistics."""
    still = dataclasses.replace(model, schedule=functools.partial(optim.cosine, warmup=0, end=0))
    before = jax.tree.map(np.array, state)
    late = state.replace(step=jnp.int32(10))
    after, _ = step.train_step(still, late, images, hyper(total_steps=10), key)
    for old, new in (
        (before.generator, after.generator),
        (before.discriminator, after.discriminator),
    ):
        np.testing.assert_array_equal(flat(old.params), flat(new.params))
        assert (flat(old.batch_stats) != flat(new.batch_stats)).any()


def test_batch_norm_statistics_go_through_real_then_filled(model, state, images, key):
    """Two updates by momentum from two batches, in this order; the first layer's mean shows it."""
    _, stats, _ = gradients(model, state, images, hyper(), key)
    module, network = model.discriminator, state.discriminator
    key_flip, key_mask = jax.random.split(key)
    real = step.random_flip(key_flip, masks.to_float(images))
    mask = model.mask(key_mask, *real.shape[:3])
    holes = masks.crop(real, masks.corners(mask), model.geometry.window)
    context = masks.apply(real, mask, jnp.ones(3))

    def run(module, variables, x):
        out, new = module.apply(variables, x, train=True, mutable=["batch_stats"])
        return out, variables | new

    @jax.jit
    def threaded():
        fills, _ = run(model.generator, state.generator.variables, context)
        _, after_real = run(module, network.variables, holes)
        return run(module, after_real, fills)[1]["batch_stats"]

    np.testing.assert_allclose(flat(stats.discriminator), flat(threaded()), rtol=1e-4, atol=1e-6)


class CountingGenerator(nn.Module):
    calls = 0

    @nn.compact
    def __call__(self, x, *, train):
        CountingGenerator.calls += 1
        x = nn.Conv(3, (3, 3))(x)
        return jnp.tanh(nn.BatchNorm(use_running_average=not train)(x)[:, :8, :8])


def test_the_generator_runs_once_a_step(model, images, key):
    counted = dataclasses.replace(model, generator=CountingGenerator())
    state = step.init(counted, key, 16)
    CountingGenerator.calls = 0
    jax.eval_shape(functools.partial(gradients, counted), state, images, hyper(), key)
    assert CountingGenerator.calls == 1


def test_numeric_hyper_parameters_and_seeds_do_not_recompile(model, images):
    state = step.init(model, jax.random.key(1), 16)
    state, _ = step.train_step(model, state, images, hyper(), jax.random.key(1))
    compiled = step.train_step._cache_size()
    for i, weights in enumerate((hyper(lambda_adv=0.5), hyper(learning_rate_g=1e-5), hyper(0.1))):
        state, _ = step.train_step(model, state, images, weights, jax.random.key(i))
    assert step.train_step._cache_size() == compiled


def test_reconstruction_alone_needs_no_discriminator_and_learns(images, key):
    alone = tiny_model(adversarial=False, mask=boxes.center_box, flip=False)
    state = step.init(alone, key, 16)
    assert state.discriminator is None
    found = []
    for _ in range(40):
        numbers = hyper(1.0, 0.0, learning_rate_g=1e-2)
        state, logged = step.train_step(alone, state, images, numbers, key)
        found.append(float(logged["reconstruction_loss"]))
    assert found[-1] < 0.8 * found[0]


def test_a_fill_keeps_the_context_and_does_not_depend_on_its_batch(model, state, images):
    strategy = functools.partial(boxes.random_box, mask_height=8, mask_width=8)
    mask = masks.frozen(strategy, jnp.arange(8), 16, 16)
    variables, colour = state.generator.variables, jnp.ones(3)
    filled = step.fill(model, variables, images, mask, colour)
    real = masks.to_float(images)
    np.testing.assert_allclose(
        np.where(mask > 0, 0, filled), np.where(mask > 0, 0, real), atol=1e-6
    )
    assert (np.where(mask > 0, filled, 0) != np.where(mask > 0, real, 0)).any()
    alone = step.fill(model, variables, images[3:4], mask[3:4], colour)
    np.testing.assert_allclose(alone[0], filled[3], atol=1e-5)


def test_flips_are_left_to_right_and_for_about_half():
    images = jnp.arange(2000 * 6, dtype=jnp.float32).reshape(2000, 1, 2, 3)
    flipped = step.random_flip(jax.random.key(0), images)
    swapped = np.asarray((flipped != images).any(axis=(1, 2, 3)))
    np.testing.assert_array_equal(flipped[swapped], images[swapped, :, ::-1])
    assert 900 < swapped.sum() < 1100


ON_DEVICES = """
import dataclasses, json, sys
sys.path.insert(0, sys.argv[1])
import jax, numpy as np, jax.numpy as jnp
from tests.tiny import hyper, tiny_model
from ctxenc import runtime, step
from ctxenc.parallel import devices
runtime.keep_programs()
everywhere, divided = devices.shardings()
key = jax.random.key(0)
images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
images = jax.device_put(images, divided)
arguments = jax.device_put((hyper(), key), everywhere)
found = {}
for products in (False, True):
    model = dataclasses.replace(tiny_model(), bfloat16_products=products)
    state = jax.device_put(step.init(model, key, 16), everywhere)
    for _ in range(3):
        state, logged = step.train_step(model, state, images, *arguments)
    leaves = jax.tree.leaves((state.generator.variables, state.discriminator.variables, logged))
    found[str(products)] = {
        "devices": jax.device_count(),
        "replicated": all(leaf.sharding.is_fully_replicated for leaf in leaves),
        "values": np.concatenate([np.ravel(leaf) for leaf in leaves]).tolist(),
    }
print(json.dumps({**found, "compiled": step.train_step._cache_size()}))
"""


def run_on(devices):
    environment = compiling.as_users_have_it()
    environment["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-c", ON_DEVICES, str(Path(__file__).parents[1])],
        env={**environment, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_one_and_four_devices_agree():
    """Products in bfloat16, to which rounding of sums adds more, among them."""
    ones, fours = run_on(1), run_on(4)
    assert ones.pop("compiled") == fours.pop("compiled") == 2
    for one, four, rtol in zip(ones.values(), fours.values(), (2e-3, 2e-2), strict=True):
        assert (one["devices"], four["devices"]) == (1, 4)
        assert four["replicated"]
        np.testing.assert_allclose(four["values"], one["values"], rtol=rtol, atol=rtol / 10)


def test_loss_terms_satisfy_the_protocol():
    loss: losses.Adversarial = losses.NonSaturating()
    assert loss.discriminator_real(jnp.zeros(2)) == pytest.approx(np.log(2))


@pytest.mark.parametrize("products_alone", [False, True])
def test_bfloat16_agrees_with_float32_and_keeps_its_state_in_float32(
    model, state, images, key, products_alone
):
    half = tiny_model(dtype=jnp.float32 if products_alone else jnp.bfloat16)
    half = dataclasses.replace(half, bfloat16_products=products_alone)
    grads = flat(gradients(model, state, images, hyper(), key)[0].generator)
    grads_half = flat(gradients(half, state, images, hyper(), key)[0].generator)
    cosine = grads @ grads_half / np.linalg.norm(grads) / np.linalg.norm(grads_half)
    assert cosine > 0.98
    assert (grads != grads_half).any()
    _, one = step.train_step(model, jax.tree.map(jnp.copy, state), images, hyper(), key)
    other, logged = step.train_step(half, jax.tree.map(jnp.copy, state), images, hyper(), key)
    for name, value in one.items():
        assert float(logged[name]) == pytest.approx(float(value), rel=0.05, abs=0.15)
    kinds = {leaf.dtype for leaf in jax.tree.leaves((other.generator, other.discriminator))}
    assert kinds == {jnp.dtype("float32"), jnp.dtype("int32")}  # int32: Adam's count
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(logged))


class WrongSize(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return nn.Conv(3, (3, 3))(x)  # the whole image, where the hole is predicted


class TwoLogits(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(2)(x.reshape(len(x), -1))


def failing(*args, **kwargs):
    raise ValueError("of\nmy own")


class FailingNetwork(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return failing()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("mask", failing),
        ("schedule", failing),
        ("model.generator", FailingNetwork()),
        ("model.discriminator", FailingNetwork()),
        ("optimizer", optax.GradientTransformation(failing, failing)),
        ("loss.reconstruction", losses.Loss(failing)),
        ("loss.seam", losses.Loss(losses.l2, seam=failing)),
        (
            "loss.gradient_penalty",
            losses.Loss(losses.l2, losses.Hinge(), gradient_penalty=failing),
        ),
    ],
)
def test_a_part_that_raises_is_named_in_one_line(model, images, key, part, change):
    name = part.split(".")[0] if part.startswith("loss") else part.split(".")[-1]
    wrong = dataclasses.replace(model, **{name: change})

    def attempt():
        state = step.init.eval_shape(wrong, key, 16)
        step.train_step.eval_shape(wrong, state, images, hyper(), key)

    with pytest.raises(UserError) as refused:
        attempt()
    assert str(refused.value) == f"{part}: ValueError: of my own"


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("generator", WrongSize(), r"model.generator: .*\(8, 16, 16, 3\); expected \(8, 8, 8, 3\)"),
        ("discriminator", TwoLogits(), r"model.discriminator: .*\(8, 2\); expected \(8,\)"),
        (
            "loss",
            losses.Loss(lambda a, b, w: w * (a - b) ** 2),
            r"loss.reconstruction: .*expected \(\)",
        ),
        (
            "mask",
            lambda key, batch, h, w: jnp.zeros((h, w, 1)),
            r"mask: .* expected \(8, 16, 16, 1\)",
        ),
    ],
)
def test_a_part_that_returns_another_shape_is_named(model, images, key, part, change, message):
    wrong = dataclasses.replace(model, **{part: change})
    state = step.init.eval_shape(wrong, key, 16)
    with pytest.raises(UserError, match=message):
        step.train_step.eval_shape(wrong, state, images, hyper(), key)


def test_figures_are_summed_on_the_device_and_know_how_many_steps_they_are_of(model, state, images):
    key, sums, seen = jax.random.key(3), None, []
    for _ in range(3):
        state, logged = step.train_step(model, state, images, hyper(), key)
        sums = logged if sums is None else step.add(sums, logged)
        seen.append(float(logged["generator_loss"]))
    assert float(sums["steps"]) == 3
    assert float(sums["generator_loss"]) == pytest.approx(sum(seen), rel=1e-6)
