"""JAX's settings and Hydra's, platforms that are not there, and homes that nobody has."""

import contextlib
import io
import logging
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from ctxenc import launch, paths, runtime
from ctxenc.cli import one_line_errors
from ctxenc.config.checks import check
from ctxenc.data import cache
from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.session import log_to
from ctxenc.trained import TrainedModel
from tests.tiny import TINY

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format2" / "run"
OTHERS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 1,
    "jax_default_matmul_precision": "bfloat16",
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


@pytest.mark.parametrize("error", [UserError("what it means"), OSError(28, "what it means", "")])
def test_hydras_variable_has_tracebacks_printed(error, monkeypatch, capsys):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit), one_line_errors("ctxenc.train"):  # noqa: PT012
        try:
            raise ValueError("the cause")
        except ValueError:
            raise error from None
    told = capsys.readouterr().err
    assert "ValueError: the cause" in told
    assert told.splitlines()[-1] == "ctxenc.train: what it means"


def test_hydras_verbose_shows_what_is_else_in_the_log_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = []

    def train(_, run):
        with log_to(run.log_file, logging.StreamHandler(stream := io.StringIO())):
            logging.getLogger("ctxenc.anywhere").debug("detail")
        assert "DEBUG ctxenc.anywhere: detail" in run.log_file.read_text()
        shown.append(stream.getvalue())

    monkeypatch.setattr(launch, "prepare", lambda composed: SimpleNamespace(config=check(composed)))
    monkeypatch.setattr(launch, "train", train)
    launch.run("hydra.verbose=true")
    launch.run()
    assert shown == ["detail\n", ""]
