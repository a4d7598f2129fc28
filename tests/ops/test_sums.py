"""Sums over pixels as products, which a CPU is given, and as sums, which all others are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc.ops import over_pixels, to_pixels
from ctxenc.ops.platforms import written_for


@pytest.fixture(params=["cpu", "cuda"])
def _platform(request):
    with written_for(request.param):
        yield


@pytest.mark.usefixtures("_platform")
@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (6, 2), (1, 1, 1, 1)])
def test_a_sum_and_repeating_are_each_others_transposes(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    total, back = jax.vjp(over_pixels, x)
    np.testing.assert_allclose(
        total, np.asarray(x).reshape(-1, shape[-1]).sum(0), rtol=1e-5, atol=1e-6
    )
    vector = jnp.arange(1.0, shape[-1] + 1)
    (spread,) = back(vector)
    np.testing.assert_array_equal(spread, np.broadcast_to(vector, shape))
    repeated, back = jax.vjp(lambda v: to_pixels(v, x), vector)
    np.testing.assert_array_equal(repeated, spread)
    np.testing.assert_allclose(back(x)[0], total, rtol=1e-5, atol=1e-6)


def test_a_sum_of_a_million_pixels_is_as_exact_as_numpys():
    x = jax.random.uniform(jax.random.key(0), (64, 128, 128, 3))
    exact = np.asarray(x, np.float64).sum((0, 1, 2))
    for summed in (over_pixels(x), jax.vjp(lambda v: to_pixels(v, x), x[0, 0, 0])[1](x)):
        np.testing.assert_allclose(np.ravel(summed), exact, rtol=1e-6)
