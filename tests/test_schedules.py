import functools
import math

import jax
import jax.numpy as jnp
import pytest

from ctxenc import schedules
from ctxenc.errors import UserError


def test_constant_is_one():
    assert schedules.constant(jnp.int32(5), jnp.float32(10)) == 1


def test_the_cosine_rises_then_falls_to_its_end():
    factor = functools.partial(schedules.cosine, warmup=0.1, end=0.2)
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
    factor = jax.jit(functools.partial(schedules.cosine, warmup=0.0, end=0.0))
    assert factor(jnp.int32(50), jnp.float32(100)) == pytest.approx(0.5)
    assert factor(jnp.int32(50), jnp.float32(200)) == pytest.approx(0.5 + 0.25 * math.sqrt(2))
    assert factor._cache_size() == 1


@pytest.mark.parametrize("options", [{"warmup": 1.0, "end": 0.0}, {"warmup": 0.1, "end": -0.1}])
def test_bad_options_are_named(options):
    with pytest.raises(UserError, match=r"schedule\.(warmup=1\.0|end=-0\.1): it takes"):
        schedules.cosine(jnp.int32(0), jnp.float32(1), **options)
