"""What only a GPU can show: `pytest -m gpu tests/test_gpu.py` on a machine that has one.

With JAX_PLATFORMS unset or empty, and for the run that is resumed
XLA_FLAGS=--xla_gpu_deterministic_ops=true; `benchmarks/gpu.py` sets both.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ctxenc
from ctxenc import masks, step
from ctxenc.run_folder.checkpoints import saved_steps
from tests.tiny import TINY, hyper, tiny_model

ROOT = Path(__file__).parents[1]
HAS_GPU = jax.default_backend() == "gpu"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not HAS_GPU, reason=f"no GPU: JAX computes on {jax.default_backend()}"),
]

# The gradients of the same step on CPU, where what is called float32 is float64.
REFERENCE = """
import sys
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
jnp.float32 = jnp.float64  # before Flax and ctxenc are imported
sys.path.insert(0, sys.argv[1])
import numpy as np
from tests.test_gpu import gradients
given = np.load(sys.argv[2])
leaves = [leaf.astype(np.float64) for leaf in given.values()]
np.savez(sys.argv[3], *map(np.asarray, gradients(*leaves)))
"""


def structure():
    """The model and the structure of its state, in whatever precision this process has."""
    model = tiny_model()
    return model, jax.tree.structure(step.init.eval_shape(model, jax.random.key(0), 16))


def gradients(pixels, mask, *leaves):
    """Of all parameters, flat, from a state's leaves."""
    model, tree = structure()
    state = jax.tree.unflatten(tree, map(jnp.asarray, leaves))
    params = step.Params(state.generator.params, state.discriminator.params)
    one = jax.jit(lambda params: jax.grad(step.objectives, has_aux=True)(
        params, model, state, jnp.asarray(pixels), jnp.asarray(mask), hyper(lambda_adv=0.1)
    )[0])  # fmt: skip
    return jax.tree.leaves(one(params))


def reference(tmp_path, pixels, mask, state):
    np.savez(tmp_path / "in.npz", pixels, mask, *map(np.asarray, jax.tree.leaves(state)))
    command = [sys.executable, "-c", REFERENCE, ROOT, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run(command, env={**os.environ, "JAX_PLATFORMS": "cpu"}, check=True)
    return list(np.load(tmp_path / "out.npz").values())


def test_gradients_are_those_of_float64_on_cpu(tmp_path, images, key):
    model, _ = structure()
    state = step.init(model, key, 16)
    pixels = masks.to_float(images)
    mask = masks.frozen(model.mask, jnp.arange(len(images)), 16, 16)
    expected = reference(tmp_path, pixels, mask, state)
    for precision, tolerance in (("float32", 1e-4), ("tensorfloat32", 5e-2)):
        with jax.default_matmul_precision(precision):
            found = gradients(pixels, mask, *jax.tree.leaves(state))
        largest = max(np.abs(leaf).max() for leaf in expected)
        for ours, theirs in zip(found, expected, strict=True):
            scale = np.abs(theirs).max() + 1e-3 * largest
            assert np.abs(np.asarray(ours) - theirs).max() < tolerance * scale, precision


def arrays(run):
    state = run.checkpoints / str(saved_steps(run.checkpoints)[-1])
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as reader:
        return jax.tree.leaves(
            [reader.restore(state.absolute() / item) for item in ("generator", "training")]
        )


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path, monkeypatch):
    if "--xla_gpu_deterministic_ops=true" not in os.environ.get("XLA_FLAGS", ""):
        pytest.skip("without --xla_gpu_deterministic_ops=true the GPU's sums differ")
    monkeypatch.chdir(tmp_path)
    whole = ctxenc.run(*TINY, "max_steps=20", "eval_every=10")
    half = ctxenc.run(*TINY, "max_steps=10", "eval_every=10")
    longer = ctxenc.run(f"resume={half.path}", "max_steps=20")
    for one, other in zip(arrays(whole), arrays(longer), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_bfloat16_trains_with_a_state_in_float32(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = ctxenc.run(*TINY, "max_steps=40", "eval_every=40", "precision=bfloat16")
    other = ctxenc.run(*TINY, "max_steps=40", "eval_every=40")
    assert {leaf.dtype for leaf in arrays(run)} <= {
        jnp.dtype(d) for d in ("float32", "int32", "uint32")
    }
    both = [
        json.loads((r.path / "summary.json").read_text())["last"]["psnr_db"] for r in (run, other)
    ]
    assert both[0] == pytest.approx(both[1], abs=0.5)
