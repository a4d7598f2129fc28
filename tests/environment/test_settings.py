"""JAX's settings, its platforms, and homes that nobody has."""

import contextlib
from pathlib import Path

import jax
import pytest

from ctxenc import launch, paths, runtime
from ctxenc.data import cache
from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run
from ctxenc.trained import TrainedModel
from tests.tiny import TINY

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format2" / "run"
OTHERS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 1,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_transfer_guard": "disallow",
}


@contextlib.contextmanager
def setting(name, value):
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


@pytest.mark.parametrize("name", runtime.EXPECTED)
def test_settings_under_which_other_things_are_computed_are_refused_first(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with setting(name, OTHERS[name]):
        with pytest.raises(UserError, match=rf"{name.upper()}={OTHERS[name]}: expected"):
            launch.run(*TINY)
        with pytest.raises(UserError, match=name.upper()):
            TrainedModel.load(FIXTURE)
    assert list(tmp_path.iterdir()) == []
    runtime.check_settings()


@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend"), AssertionError()])
def test_a_platform_that_is_not_there_is_one_line(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(jax, "default_backend", fail)
    with pytest.raises(UserError, match=r"JAX_PLATFORMS=\S*: \S+"):
        runtime.platform()


def test_a_home_that_nobody_has_is_named(tmp_path):
    for act in (paths.expanded, lambda p: Run(tmp_path).inside(p), launch.resume):
        with pytest.raises(UserError, match="~nobody_here/x: no home folder is known"):
            act("~nobody_here/x")


@pytest.mark.parametrize("old", [False, True])
def test_a_user_without_a_home_has_no_cache_and_computes_all_the_same(monkeypatch, old):
    def homeless(_):
        if old:
            return paths.Path("~/.cache/ctxenc")
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(paths, "user_cache_path", homeless)
    assert paths.cache("xla") is None
    cache.save("key", 1)
    assert cache.load("key") is None
    with setting("jax_compilation_cache_dir", None):
        runtime.keep_programs()
        assert jax.config.values["jax_compilation_cache_dir"] is None
