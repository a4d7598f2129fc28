import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import optimizers
from ctxenc.errors import UserError

MOMENTS = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}


def test_adam_takes_a_unit_step_at_first():
    adam = optimizers.adam(**MOMENTS)
    params = {"kernel": jnp.zeros((1, 2))}
    direction, _ = adam.update({"kernel": jnp.array([[3.0, -0.01]])}, adam.init(params), params)
    np.testing.assert_allclose(direction["kernel"], [[1.0, -1.0]], rtol=1e-4)


def test_weight_decay_is_apart_from_the_gradient_and_on_kernels_only():
    adamw = optimizers.adamw(**MOMENTS, weight_decay=0.5)
    params = {"Conv_0": {"kernel": jnp.full((1, 1), 4.0), "bias": jnp.full((1, 1), 4.0)}}
    nothing = jax.tree.map(jnp.zeros_like, params)
    direction, _ = adamw.update(nothing, adamw.init(params), params)
    assert direction["Conv_0"]["kernel"] == 0.5 * 4.0
    assert direction["Conv_0"]["bias"] == 0


@pytest.mark.parametrize(("key", "value"), [("b1", 1.0), ("eps", 0.0), ("weight_decay", -1.0)])
def test_bad_options_are_named(key, value):
    with pytest.raises(UserError, match=rf"optimizer\.{key}={value}: it takes"):
        optimizers.adamw(**{**MOMENTS, "weight_decay": 0.1, key: value})
