"""Which way of writing a computation a platform is given, and when that is chosen."""

import jax
import jax.numpy as jnp
import pytest
from jax.extend import backend

from ctxenc.ops import platforms
from ctxenc.ops.platforms import EVERY, fastest, written_for

WAYS = {"cpu": jnp.sin, "cuda": jnp.cos, "default": jnp.exp}


def program(x):
    return fastest(x, **WAYS)


@pytest.mark.parametrize(
    ("platform", "way"), [("cpu", "cpu"), ("cuda", "cuda"), ("tpu", "default")]
)
def test_the_way_is_the_platforms_and_no_other_is_traced(platform, way):
    with written_for(platform):
        assert str(jax.make_jaxpr(program)(1.0)) == str(jax.make_jaxpr(WAYS[way])(1.0))


def test_a_program_that_was_traced_for_one_platform_is_traced_anew_for_another():
    compiled = jax.jit(program)
    found = {}
    for platform in ("cpu", "cuda", None):
        with written_for(platform):
            found[platform] = compiled(1.0)
    assert found["cpu"] == found[None] == jnp.sin(1.0)
    assert found["cuda"] == jnp.cos(1.0)


def test_a_program_for_every_platform_is_each_ones_own_way():
    with written_for(EVERY):
        traced = jax.jit(program).trace(1.0)
    for platform, own in {"cpu": "sine", "cuda": "cosine", "tpu": "exponential"}.items():
        assert f"stablehlo.{own} " in traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
    ("version", "platform"), [("PJRT C API\ncuda 12090", "cuda"), ("rocm 70200", "rocm")]
)
def test_the_two_kinds_of_gpu_are_told_apart(version, platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    of = type("Backend", (), {"platform_version": version})
    monkeypatch.setattr(backend, "get_backend", of)
    assert platforms._platform() == platform
