"""Sums that jaxlib 0.10.2 gets wrong on CPU are right once ctxenc is imported."""

import json
import os
import subprocess
import sys
from importlib import metadata

import jax
import pytest

from ctxenc import runtime, xla_flags
from tests import compiling

# Of jax issue 39103; at which sizes it shows depends on the CPU.
SUMS = """
import json, sys
{first}
import jax, jax.numpy as jnp
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

@jax.jit
def squares(rows):
    return jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(rows)

wrong = []
for count in (16_385, 32_769):
    rows = jnp.zeros((count, 3)).at[:, 0].set(jnp.arange(count) % 1000)
    if not jnp.allclose(squares(rows), rows[:, 0] ** 2, rtol=1e-4):
        wrong.append(count)
print(json.dumps(wrong))
"""


def wrong_sums(cache, first=""):
    done = subprocess.run(
        [sys.executable, "-c", SUMS.format(first=first), str(cache)],
        env={**compiling.as_users_have_it(), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(
    metadata.version("jaxlib") not in xla_flags.FAULTY, reason="a jaxlib without the fault"
)
def test_the_fault_shows_without_the_flag_and_not_once_ctxenc_is_imported(tmp_path):
    """The two share a cache of programs, where a wrong one waits."""
    if not wrong_sums(tmp_path):
        pytest.skip("this CPU does not show the fault")
    assert wrong_sums(tmp_path, "import ctxenc") == []


@pytest.mark.parametrize(
    ("jaxlib", "given", "expected"),
    [
        ("0.10.2", None, xla_flags.FLAG),
        ("0.11.0", " --a=1 --b ", f"--a=1 --b {xla_flags.FLAG}"),
        ("0.10.2", "FILE", f"--a=1\n--b {xla_flags.FLAG}"),
        ("0.10.2", f"--{xla_flags.NAME}=", f"--{xla_flags.NAME}="),
        ("0.10.1", None, None),
        ("0.11.1", "--a=1", "--a=1"),
        ("0.12.0.1", None, None),
    ],
)
def test_only_a_jaxlib_with_the_fault_is_given_the_flag_and_the_users_own_wins(
    jaxlib, given, expected, monkeypatch, tmp_path
):
    (tmp_path / "flags").write_text("--a=1\n--b\n")
    monkeypatch.setattr(xla_flags, "CUDA", ())  # also where JAX's plugin is installed
    monkeypatch.setattr(metadata, "version", {"jaxlib": jaxlib}.__getitem__)
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given.replace("FILE", str(tmp_path / "flags")))
    assert xla_flags.guard()
    assert os.environ.get("XLA_FLAGS") == expected


@pytest.mark.parametrize(
    ("jaxlib", "given", "expected"),
    [
        ("0.12.0.1", None, xla_flags.WHOLE_GRAPHS),
        ("0.11.0", "--a", f"--a {xla_flags.FLAG} {xla_flags.WHOLE_GRAPHS}"),
        ("0.11.2", f"--{xla_flags.GRAPHS}=", f"--{xla_flags.GRAPHS}="),
        ("0.10.1", None, None),
    ],
)
def test_with_jaxs_cuda_plugin_convolutions_are_in_the_graphs_unless_the_user_says_otherwise(
    jaxlib, given, expected, monkeypatch
):
    monkeypatch.setattr(xla_flags, "CUDA", ("no_such_module", "json"))  # one of them is there
    monkeypatch.setattr(metadata, "version", {"jaxlib": jaxlib}.__getitem__)
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given)
    assert xla_flags.guard()
    assert os.environ.get("XLA_FLAGS") == expected


def test_where_jax_has_started_nothing_is_set_and_a_line_says_so(monkeypatch, caplog):
    monkeypatch.setattr(metadata, "version", {"jaxlib": xla_flags.FAULTY[0]}.__getitem__)
    monkeypatch.setattr(xla_flags, "CUDA", ())
    monkeypatch.setenv("XLA_FLAGS", "")
    assert jax.devices()
    assert not xla_flags.guard()
    assert os.environ["XLA_FLAGS"] == ""
    runtime.check_settings()
    assert not caplog.messages
    monkeypatch.setattr(xla_flags, "GUARDED", False)
    runtime.check_settings()
    (told,) = caplog.messages
    assert "import ctxenc first, or set XLA_FLAGS=" + xla_flags.FLAG in told
    assert "\n" not in told
