from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ctxenc.errors import UserError
from ctxenc.models.discriminator import Discriminator
from ctxenc.models.layers import BatchNorm, ChannelwiseDense, ResizeConv
from ctxenc.models.paper import PaperDiscriminator
from ctxenc.ops import LAYOUT
from tests.models.counting import count_parameters


def normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def test_spectral_norm_divides_by_the_largest_singular_value():
    """The kernel's matrix is diag(3, 2) between rotations: its singular values are 3 and 2."""
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    kernel = np.float32(rotation @ np.diag([3, 2]) @ rotation.T)
    # Of 4×4 taps only (1, 1) is not zero, which sees the upper left of 2×2 pixels.
    first = np.zeros((4, 4, 2, 2), np.float32)
    first[1, 1] = kernel
    last = np.float32([3, 4]).reshape(1, 1, 2, 1)  # its singular value is its length, 5
    variables = {
        "params": {"Conv_0": {"kernel": first}, "Conv_1": {"kernel": last}},
        "batch_stats": {
            f"SpectralNorm_{i}": {f"Conv_{i}/kernel/u": u, f"Conv_{i}/kernel/sigma": np.ones(())}
            for i, u in enumerate((np.float32([[1, 0]]), np.float32([[1]])))
        },
    }
    network = PaperDiscriminator(widths=(2,), batch_norm=False, spectral_norm=True)

    @partial(jax.jit, static_argnames="train")
    def run(variables, x, train):
        return network.apply(variables, x, train=train, mutable=["batch_stats"])

    x = normal(5, 2, 2, 2)
    for _ in range(30):
        logits, updates = run(variables, x, train=True)
        variables = variables | updates
    hidden = x[:, 0, 0] @ kernel / 3
    expected = np.where(hidden > 0, hidden, 0.2 * hidden) @ np.float32([3, 4]) / 5
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    kept = variables["batch_stats"]["SpectralNorm_0"]["Conv_0/kernel/sigma"]
    np.testing.assert_allclose(kept, 3, rtol=1e-5)

    tested, unchanged = run(variables, x, train=False)
    np.testing.assert_allclose(tested, expected, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, unchanged, updates)


@pytest.mark.parametrize("make", [Discriminator, PaperDiscriminator])
def test_spectral_norm_and_batch_norm_each_are_a_choice_and_not_together(make):
    def variables(**options):
        run = partial(make(widths=(3, 4), **options).init, train=True)
        return jax.eval_shape(run, jax.random.key(0), jnp.zeros((2, 8, 8, 3)))

    bare, spectral = variables(batch_norm=False), variables(batch_norm=False, spectral_norm=True)
    assert spectral["params"] == bare["params"]
    every_layer = {"SpectralNorm_0", "SpectralNorm_1", "SpectralNorm_2"}
    assert spectral["batch_stats"].keys() == every_layer
    assert "batch_stats" not in bare
    by_default = variables()["params"]
    assert any("Norm" in name for name in by_default)
    assert not any("Norm" in name for name in bare["params"])
    with pytest.raises(
        UserError, match=r"spectral_norm=true: must be false unless .*batch_norm=false"
    ):
        variables(spectral_norm=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2e-2)])
def test_batch_norm_is_flaxs_with_sums_of_ours(dtype, tolerance):
    x, key = 3 + normal(4, 6, 5, 7) * jnp.arange(1, 8), jax.random.key(0)

    def found(norm, train, test):
        variables = norm.init(key, x, **train)

        def run(params, x):
            y, updated = norm.apply(variables | {"params": params}, x, **train, mutable=True)
            return y, updated["batch_stats"]

        y, back, stats = jax.vjp(run, variables["params"], x, has_aux=True)
        tested = norm.apply(variables | {"batch_stats": stats}, x, **test)
        return jax.tree.leaves((variables, y, stats, back(jnp.sin(y)), tested))

    ours = found(BatchNorm(dtype=dtype), {"train": True}, {"train": False})
    theirs = found(
        nn.BatchNorm(momentum=0.9, epsilon=1e-3, dtype=dtype),
        {"use_running_average": False},
        {"use_running_average": True},
    )
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(*np.float32((a, b)), atol=tolerance, rtol=tolerance)


def test_resize_conv_is_a_repetition_and_a_convolution():
    """What Odena et al. describe, in the way that they do; and nearly so in bfloat16."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 3, 5, 6))
    variables = {"params": {"kernel": jnp.float32(kernel), "bias": jnp.arange(6.0)}}

    @jax.jit
    def run(x, variables):
        large = x.repeat(2, axis=1).repeat(2, axis=2)
        kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
        theirs = lax.conv_general_dilated(large, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)
        layer = ResizeConv(6)
        half = layer.clone(dtype=jnp.bfloat16)
        return theirs + bias, layer.apply(variables, x), half.apply(variables, x)

    theirs, ours, half = run(jnp.float32(x), variables)
    assert (ours.shape, ours.dtype, half.dtype) == ((2, 6, 8, 6), jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose(np.float32(half), theirs, atol=0.02 * float(jnp.abs(theirs).max()))


def test_channelwise_dense_mixes_positions_and_not_channels():
    layer = ChannelwiseDense((2, 3))
    x = normal(1, 3, 4, 5)
    variables = layer.init(jax.random.key(0), x)
    assert count_parameters(variables) == 5 * (12 * 6) + 5 * 6
    jacobian = jax.jacobian(lambda x: layer.apply(variables, x[None])[0])(x[0])
    reaches = jacobian != 0  # out_row, out_column, out_channel, row, column, channel
    same = np.eye(5, dtype=bool)[None, None, :, None, None, :]
    np.testing.assert_array_equal(reaches, np.broadcast_to(same, reaches.shape))


def test_channelwise_dense_keeps_the_spread_of_its_input():
    x = normal(8, 6, 6, 64)
    layer = ChannelwiseDense((4, 4))
    y = layer.apply(layer.init(jax.random.key(0), x), x)
    assert 0.9 < float(y.std()) < 1.1
