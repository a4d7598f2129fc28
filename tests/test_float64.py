"""Gradients as they are compiled, alone and several at once, beside the step run op by op.

In a process of its own, where what ctxenc and Flax call float32 is float64: both sides then agree
to rounding, and what does not is another computation.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_combinations import EVERY

PROGRAM = """
import dataclasses, json, sys
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
jnp.float32 = jnp.float64  # before Flax and ctxenc are imported
sys.path.insert(0, sys.argv[1])
import numpy as np
from ctxenc import masks, runtime, step
from ctxenc.config import build
from tests.test_combinations import small
from tests.tiny import every_term, hyper
runtime.keep_programs()

def gradients(model, state, hyper, pixels, mask, labels):
    params = step.Params(
        state.generator.params,
        state.discriminator and state.discriminator.params,
        state.head and state.head.params,
    )
    return jax.grad(step.objectives, has_aux=True)(
        params, model, state, pixels, mask, hyper, labels
    )[0]

found = {}
for loss, name in json.loads(sys.argv[2]):
    config = small("center", loss, name, None)
    classes = 3 if config.loss.get("label") else 0
    model, size = build.model(config, classes), config.image_size
    parts = {name: getattr(model, name) for name in ("generator", "discriminator")}
    model = dataclasses.replace(
        model, **{name: part and part.clone(dtype=np.float64) for name, part in parts.items()}
    )
    states, weights = [], []
    for seed in (0, 1):
        state = step.init(model, jax.random.key(seed), size)
        exact = lambda x: jnp.asarray(x, float if x.dtype.kind == "f" else x.dtype)
        states.append(jax.tree.map(exact, state))
        weights.append(hyper(0.5 + seed, **every_term(0.1)))
    pixels = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)))
    mask = masks.frozen(model.mask, jnp.arange(2), size, size).astype(np.float64)
    given = pixels, mask, jnp.array([0, 2]) if classes else None
    alone = lambda state, weights: gradients(model, state, weights, *given)
    options = {"xla_backend_optimization_level": 0}
    compiled = jax.jit(alone, compiler_options=options)
    together = jax.jit(jax.vmap(alone), compiler_options=options)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(states, weights, strict=True))
    batched, errors = together(*stacked), {}
    for seed, pair in enumerate(zip(states, weights, strict=True)):
        expected = alone(*pair)
        largest = max(jnp.abs(leaf).max() for leaf in jax.tree.leaves(expected))
        for way, got in (
            ("compiled", compiled(*pair)),
            ("several at once", jax.tree.map(lambda leaf: leaf[seed], batched)),
        ):
            pairs = zip(jax.tree.leaves_with_path(expected), jax.tree.leaves(got), strict=True)
            for (path, leaf), other in pairs:
                assert leaf.dtype == other.dtype == np.float64, (path, leaf.dtype)
                # Next to the largest: a bias before batch normalisation has only rounding.
                error = jnp.abs(leaf - other).max() / (jnp.abs(leaf).max() + 1e-6 * largest)
                where = f"{way}: {jax.tree_util.keystr(path)}"
                errors[where] = max(float(error), errors.get(where, 0.0))
    found[f"{loss} {name}"] = errors
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "combinations",
    [
        [("joint_psnr", "cifar")],
        # All hundred take six minutes, most of it op by op.
        pytest.param(sorted({(loss, model) for _, loss, model in EVERY}), marks=pytest.mark.slow),
    ],
    ids=["one", "every loss and network"],
)
def test_every_gradient_is_the_same_compiled_and_for_several_runs_at_once(combinations):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), json.dumps(combinations)],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == len(set(combinations))
    for combination, errors in found.items():
        assert max(errors.values()) < 1e-9, (combination, errors)
