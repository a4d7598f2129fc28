import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import step
from tests.tiny import hyper, tiny_model


@pytest.mark.filterwarnings("ignore:Some donated buffers")  # those of a batch are copies
def test_jobs_that_differ_in_seeds_and_numbers_can_be_trained_as_one_program(images):
    """Seeds and numeric knobs are arguments of the step: `vmap` takes several at once."""
    model = tiny_model()
    keys = [jax.random.key(seed) for seed in (0, 1)]
    numbers = [hyper(lambda_adv=0.0, learning_rate_g=1e-3), hyper(lambda_adv=0.1)]
    alone = [
        step.train_step(model, step.init(model, key, 16), images, number, key)
        for key, number in zip(keys, numbers, strict=True)
    ]

    def both(key, number):
        return step.train_step(model, step.init(model, key, 16), images, number, key)

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *numbers)
    together = jax.vmap(both)(jnp.stack(keys), stacked)
    for member, state in enumerate(alone):
        found = jax.tree.map(lambda leaf, member=member: leaf[member], together)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
            np.testing.assert_allclose(a, b, atol=3e-4)  # Adam's first step is of the rate's size
