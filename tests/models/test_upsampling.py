from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ctxenc.models.upsampling import ResizeConv, up


def test_resize_conv_is_a_repetition_and_a_convolution():
    """What Odena et al. describe, in the way that they do; and nearly so in bfloat16."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 3, 5, 6))
    variables = {"params": {"kernel": jnp.float32(kernel), "bias": jnp.arange(6.0)}}

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(x, variables):
        large = x.repeat(2, axis=1).repeat(2, axis=2)
        kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
        layout = ("NHWC", "HWIO", "NHWC")
        theirs = lax.conv_general_dilated(large, kernel, (1, 1), "SAME", dimension_numbers=layout)
        layer = ResizeConv(6)
        half = layer.clone(dtype=jnp.bfloat16)
        return theirs + bias, layer.apply(variables, x), half.apply(variables, x)

    theirs, ours, half = run(jnp.float32(x), variables)
    assert (ours.shape, ours.dtype, half.dtype) == ((2, 6, 8, 6), jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose(np.float32(half), theirs, atol=0.02 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize(
    ("upsample", "window", "size"),
    [("resize_conv", (3, 3), 12), ("deconv", (5, 5), 11)],
)
def test_up_is_one_or_the_other(upsample, window, size):
    for use_bias in (True, False):
        layer = up(upsample, 2, window=(5, 5), padding=((2, 2), (2, 2)), use_bias=use_bias)
        x = jnp.zeros((1, 6, 6, 3))
        y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
        assert y.shape == (1, size, size, 2)
        assert variables["params"]["kernel"].shape == (*window, 3, 2)
        assert ("bias" in variables["params"]) == use_bias
