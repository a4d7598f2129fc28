import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import _muon

from ctxenc import optim
from ctxenc.errors import UserError


def test_constant_is_one():
    assert optim.constant(jnp.int32(5), jnp.float32(10)) == 1


def test_the_cosine_rises_then_falls_to_its_end():
    factor = functools.partial(optim.cosine, warmup=0.1, end=0.2)
    found = [float(factor(jnp.int32(step), jnp.float32(100))) for step in range(101)]
    assert found[0] == pytest.approx(0.1)
    assert found[4] == pytest.approx(0.5)
    assert found[10] == pytest.approx(1.0)
    assert found[55] == pytest.approx(0.2 + 0.8 * 0.5)  # half of the way down
    assert found[32] == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi * 22 / 90)), rel=1e-5)
    assert found[100] == pytest.approx(0.2)
    assert found[:11] == sorted(found[:11])
    assert found[10:] == sorted(found[10:], reverse=True)


def test_the_whole_length_is_traced():
    factor = jax.jit(functools.partial(optim.cosine, warmup=0.0, end=0.0))
    assert factor(jnp.int32(50), jnp.float32(100)) == pytest.approx(0.5)
    assert factor(jnp.int32(50), jnp.float32(200)) == pytest.approx(0.5 + 0.25 * math.sqrt(2))
    assert factor._cache_size() == 1


@pytest.mark.parametrize("options", [{"warmup": 1.0, "end": 0.0}, {"warmup": 0.1, "end": -0.1}])
def test_bad_options_of_a_schedule_are_named(options):
    with pytest.raises(UserError, match=r"schedule\.(warmup=1\.0|end=-0\.1): expected"):
        optim.cosine(jnp.int32(0), jnp.float32(1), **options)


MOMENTS = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}


def test_adam_takes_a_unit_step_at_first():
    adam = optim.adam(1.0, **MOMENTS)
    params = {"kernel": jnp.zeros((1, 2))}
    updates, _ = adam.update({"kernel": jnp.array([[3.0, -0.01]])}, adam.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [[-1.0, 1.0]], rtol=1e-4)


def test_weight_decay_is_apart_from_the_gradient_and_on_kernels_only():
    adamw = optim.adamw(0.1, **MOMENTS, weight_decay=0.5)
    params = {"Conv_0": {"kernel": jnp.full((1, 1), 4.0), "bias": jnp.full((1, 1), 4.0)}}
    nothing = jax.tree.map(jnp.zeros_like, params)
    updates, _ = adamw.update(nothing, adamw.init(params), params)
    assert updates["Conv_0"]["kernel"] == pytest.approx(-0.1 * 0.5 * 4.0)
    assert updates["Conv_0"]["bias"] == 0


MUON = {"beta": 0.9, "weight_decay": 0.0, "steps": 5}


@pytest.mark.parametrize("shape", [(6, 4), (5, 4, 6), (2, 2, 3, 8)])
def test_muon_gives_a_kernels_update_equal_singular_values(shape):
    """A dense, a channel-wise and a convolution's kernel; the last is one matrix of 12 × 8."""
    gradient = jax.random.normal(jax.random.key(0), shape) * jnp.logspace(-1, 1, shape[-1])
    params = {"kernel": jnp.zeros(shape), "bias": jnp.zeros(4)}
    muon = optim.muon(1.0, **MUON)
    grads = {"kernel": gradient, "bias": jnp.array([3.0, -3.0, 0.1, -0.1])}
    updates, _ = muon.update(grads, muon.init(params), params)

    def spread(kernel):
        matrices = kernel.reshape(-1, shape[-1]) if len(shape) == 4 else kernel
        values = jnp.linalg.svd(matrices, compute_uv=False)
        return float((values.max(-1) / values.min(-1)).max())

    assert spread(gradient) > 10
    assert spread(updates["kernel"]) < 2
    assert 0.1 < float(jnp.sqrt(jnp.mean(updates["kernel"] ** 2))) < 0.3  # as Adam's are
    bias = np.asarray(updates["bias"])  # Adam's first step, with Nesterov's momentum
    np.testing.assert_allclose(bias / np.abs(bias[0]), [-1, 1, -1, 1], rtol=1e-4)


def test_muon_leaves_what_is_large_both_ways_to_adam():
    shapes = {"kernel": jax.ShapeDtypeStruct((2, 2, 300, 1100), jnp.float32)}  # 1,200 × 1,100
    wide = {"kernel": jax.ShapeDtypeStruct((2, 2, 250, 1100), jnp.float32)}  # 1,000 × 1,100
    moments = [
        len(jax.tree.leaves(jax.eval_shape(optim.muon(1.0, **MUON).init, s)))
        for s in (shapes, wide)
    ]
    assert moments == [3, 2]  # Adam has two and a count; beside the momentum there is Adam's count


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (7, 7)])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_iteration_on_the_shorter_side_is_newton_and_schulzs(shape, steps):
    matrix = jax.random.normal(jax.random.key(1), shape) * jnp.logspace(-3, 1, shape[1])
    coefficients = jnp.array([3.4445, -4.775, 2.0315])
    expected = _muon.orthogonalize_via_newton_schulz(matrix, coefficients, steps)
    np.testing.assert_allclose(optim.orthogonalized(matrix, steps), expected, atol=2e-4)


def test_muons_updates_are_optaxs_once_the_momentum_is_full():
    options = {"beta": 0.5, "weight_decay": 0.1}
    theirs = optax.contrib.muon(0.1, consistent_rms=0.2, **options)
    ours = optim.muon(0.1, steps=5, **options)
    params = {"kernel": jnp.ones((6, 4)), "bias": jnp.ones(4)}
    states, found = [ours.init(params), theirs.init(params)], []
    for step in range(30):
        keys = jax.random.split(jax.random.key(step))
        drawn = [
            jax.random.normal(key, p.shape) for key, p in zip(keys, params.values(), strict=True)
        ]
        grads = dict(zip(params, drawn, strict=True))
        found = [f.update(grads, s, params) for f, s in zip((ours, theirs), states, strict=True)]
        states = [state for _, state in found]
    for name in params:
        np.testing.assert_allclose(found[0][0][name], found[1][0][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("key", "value"), [("beta", 1.0), ("steps", 0), ("weight_decay", -1.0)])
def test_bad_options_of_muon_are_named(key, value):
    with pytest.raises(UserError, match=rf"optimizer\.{key}={value}: expected"):
        optim.muon(1.0, **{**MUON, key: value})


@pytest.mark.parametrize(("key", "value"), [("b1", 1.0), ("eps", 0.0), ("weight_decay", -1.0)])
def test_bad_options_of_an_optimizer_are_named(key, value):
    with pytest.raises(UserError, match=rf"optimizer\.{key}={value}: expected"):
        optim.adamw(1.0, **{**MOMENTS, "weight_decay": 0.1, key: value})


def test_a_learning_rate_in_the_state_is_that_of_the_update():
    """As the step sets it: the state's rate counts, and not the one that it was made with."""
    sgd = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0)
    params = {"kernel": jnp.ones(2)}
    state = optax.tree.set(sgd.init(params), learning_rate=jnp.float32(0.25))
    updates, _ = sgd.update(params, state, params)
    np.testing.assert_allclose(updates["kernel"], [-0.25, -0.25])
