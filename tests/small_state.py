"""A state for tests of checkpoints."""

import jax.numpy as jnp

from ctxenc.state import NetworkState, TrainState


def small_state(step=0, *, ema=False):
    """Every number of it is the step's; nothing is trained by it."""
    network = NetworkState(
        params={"kernel": jnp.full((300, 300), float(step))},
        batch_stats={},
        opt_state=(jnp.asarray(step, jnp.int32),),
    )
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        generator=network,
        discriminator=None if ema else network,
        ema=network.variables if ema else None,
    )
