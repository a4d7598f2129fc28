from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ctxenc.errors import UserError
from ctxenc.models.discriminator import Discriminator
from ctxenc.models.layers import Conv
from ctxenc.models.paper import PaperDiscriminator

QUICK_TO_COMPILE = {"xla_backend_optimization_level": 0}


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_groups_are_those_of_lax():
    x, kernel = normal(2, 5, 5, 4), normal(3, 3, 2, 6)

    @partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
    def run(x, kernel):
        layer = Conv(6, (3, 3), stride=1, groups=2, use_bias=False)
        theirs = partial(lax.conv_general_dilated, feature_group_count=2)
        layout = ("NHWC", "HWIO", "NHWC")
        return (
            layer.apply({"params": {"kernel": kernel}}, x),
            theirs(x, kernel, (1, 1), "SAME", dimension_numbers=layout),
        )

    ours, theirs = run(x, kernel)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


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

    @partial(jax.jit, static_argnames="train", compiler_options=QUICK_TO_COMPILE)
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
    with pytest.raises(UserError, match="batch normalisation undoes it"):
        variables(spectral_norm=True)
