import math

import jax
import jax.numpy as jnp
import pytest

from ctxenc import losses


def test_l2_is_the_mean_squared_error():
    prediction = jnp.array([[[[0.0, 1.0, -1.0]]]])
    target = jnp.array([[[[0.5, 1.0, 1.0]]]])
    assert losses.l2(prediction, target, jnp.ones((1, 1, 1, 1))) == pytest.approx((0.25 + 0 + 4) / 3)


def test_cross_entropy_from_logits_by_hand():
    loss = losses.NonSaturating()
    logits = jnp.array([0.0, math.log(3)])  # probabilities 1/2 and 3/4
    assert loss.real(logits) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert loss.fake(logits) == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)
    assert loss.fool(logits) == loss.real(logits)


def test_the_generator_keeps_a_gradient_where_the_discriminator_wins():
    logits = jnp.array([-20.0])
    assert jax.grad(losses.NonSaturating().fool)(logits)[0] == pytest.approx(-1.0)


def test_extreme_logits_stay_finite():
    loss = losses.NonSaturating()
    for logits in (jnp.array([-1e4]), jnp.array([1e4])):
        for term in (loss.real, loss.fake, loss.fool):
            assert jnp.isfinite(term(logits))
            assert jnp.isfinite(jax.grad(term)(logits)).all()
