import functools
import math

import jax
import jax.numpy as jnp
import pytest

from ctxenc import losses
from ctxenc.errors import UserError


def test_l2_is_the_mean_squared_error():
    prediction = jnp.array([[[[0.0, 1.0, -1.0]]]])
    target = jnp.array([[[[0.5, 1.0, 1.0]]]])
    assert losses.l2(prediction, target, jnp.ones((1, 1, 1, 1))) == pytest.approx(
        (0.25 + 0 + 4) / 3
    )


def test_cross_entropy_from_logits_by_hand():
    loss = losses.NonSaturating()
    logits = jnp.array([0.0, math.log(3)])  # probabilities 1/2 and 3/4
    assert loss.discriminator_real(logits) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert loss.discriminator_fake(logits) == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)
    assert loss.generator(logits) == loss.discriminator_real(logits)


def test_the_generator_keeps_a_gradient_where_the_discriminator_wins():
    logits = jnp.array([-20.0])
    assert jax.grad(losses.NonSaturating().generator)(logits)[0] == pytest.approx(-1.0)


def test_extreme_logits_stay_finite():
    loss = losses.NonSaturating()
    for logits in (jnp.array([-1e4]), jnp.array([1e4])):
        for term in (loss.discriminator_real, loss.discriminator_fake, loss.generator):
            assert jnp.isfinite(term(logits))
            assert jnp.isfinite(jax.grad(term)(logits)).all()


def test_weights_multiply_and_are_not_divided_by():
    """Two pixels, squared errors 1 and 4 in every channel; the second weighs 10 times."""
    prediction = jnp.array([[[[1.0] * 3, [2.0] * 3]]])
    weights = jnp.array([[[[1.0], [10.0]]]])
    target = jnp.zeros_like(prediction)
    assert losses.l2(prediction, target, weights) == pytest.approx((1 + 10 * 4) / 2)
    assert losses.l1(prediction, target, weights) == pytest.approx((1 + 10 * 2) / 2)


def test_the_psnr_loss_is_the_mean_logarithm_of_each_images_error():
    """Errors of 1 and 0.1 everywhere, one pixel of two of no weight: PSNR differs by 20 dB."""
    prediction = jnp.array([[[[1.0] * 3] * 2], [[[0.1] * 3] * 2]])
    weights = jnp.array([[[[1.0], [0.0]]]] * 2)
    loss = functools.partial(losses.psnr, target=jnp.zeros_like(prediction), eps=1e-9)
    assert loss(prediction, weights=weights) == pytest.approx(
        (math.log(0.5) + math.log(0.005)) / 2, rel=1e-5
    )
    # Both images are as important, however large their errors are.
    slope = jax.grad(loss)(prediction, weights=jnp.ones_like(weights))
    assert slope[0, 0, 0, 0] * 1.0 == pytest.approx(float(slope[1, 0, 0, 0] * 0.1), rel=1e-5)
    exact = jax.grad(loss)(jnp.zeros_like(prediction), weights=weights)
    assert jnp.isfinite(exact).all()


def test_a_psnr_loss_without_eps_is_refused():
    pixels = jnp.zeros((1, 1, 1, 3))
    with pytest.raises(UserError, match=r"loss\.reconstruction\.eps=0: expected a number above 0"):
        losses.psnr(pixels, pixels, jnp.ones((1, 1, 1, 1)), eps=0)


def test_the_seams_variation_is_over_pairs_of_which_one_is_missing():
    """A 2 × 3 image whose right column is missing: two pairs to the right, none below."""
    grey = jnp.array([[0.0, 0.25, 1.0], [0.5, 0.5, -0.5]])
    composite = jnp.repeat(grey[None, :, :, None], 3, axis=-1)
    mask = jnp.array([[0.0, 0, 1], [0, 0, 1]])[None, :, :, None]
    assert losses.seam(composite, mask) == pytest.approx((0.75 + 1.0) / 2)
    # Turned on its side the pairs are below each other.
    turned = losses.seam(composite.swapaxes(1, 2), mask.swapaxes(1, 2))
    assert turned == pytest.approx((0.75 + 1.0) / 2)
    assert losses.seam(composite, jnp.zeros_like(mask)) == 0


def test_the_hinge_by_hand():
    loss, logits = losses.Hinge(), jnp.array([0.5, 2.0, -3.0])
    assert loss.discriminator_real(logits) == pytest.approx((0.5 + 0 + 4) / 3)
    assert loss.discriminator_fake(logits) == pytest.approx((1.5 + 3 + 0) / 3)
    assert loss.generator(logits) == pytest.approx(0.5 / 3)


def test_least_squares_by_hand():
    loss, logits = losses.LeastSquares(), jnp.array([0.0, 3.0])
    assert loss.discriminator_real(logits) == pytest.approx((0.5 + 2) / 2)
    assert loss.discriminator_fake(logits) == pytest.approx((0 + 4.5) / 2)
    assert loss.generator(logits) == loss.discriminator_real(logits)


@pytest.mark.parametrize("loss", [losses.NonSaturating(), losses.Hinge(), losses.LeastSquares()])
def test_what_a_discriminator_loses_that_cannot_tell_real_from_filled(loss):
    """The least of real and fake together over logits that are the same for both."""
    logits = jnp.linspace(-2, 2, 401)[:, None]
    both = [(loss.discriminator_real(x) + loss.discriminator_fake(x)) / 2 for x in logits]
    assert min(both) == pytest.approx(losses.chance_loss(loss), abs=1e-6)
    edge = jnp.array([getattr(loss, "decision_threshold", 0.0)])
    assert float(loss.discriminator_real(edge)) == pytest.approx(
        float(loss.discriminator_fake(edge))
    )


def test_r1_is_half_the_mean_squared_slope():
    """D(x) = sum of w·x has slope w wherever it is taken, D(x) = ½ sum of x² has slope x."""
    w = jnp.array([1.0, -2.0, 3.0])
    real = jnp.ones((2, 1, 2, 3)) * jnp.array([1.0, 3.0])[:, None, None, None]
    linear = losses.r1(lambda x: (x * w).sum((1, 2, 3)), real)
    assert linear == pytest.approx(0.5 * 2 * (1 + 4 + 9))
    square = losses.r1(lambda x: 0.5 * jnp.square(x).sum((1, 2, 3)), real)
    assert square == pytest.approx(0.5 * (6 * 1 + 6 * 9) / 2)


def test_known_losses_of_a_discriminator_that_cannot_tell():
    assert losses.chance_loss(losses.NonSaturating()) == pytest.approx(math.log(2))
    assert losses.chance_loss(losses.Hinge()) == 1
    assert losses.chance_loss(losses.LeastSquares()) == pytest.approx(0.125)
