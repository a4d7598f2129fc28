"""Learning-rate schedules: a factor on both networks' rates, a function of (step, total steps).

Both are traced values: runs of different lengths share one compiled program.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ctxenc.errors import UserError

Factor = Float[Array, ""]


def constant(step: Int[Array, ""], total: Int[Array, ""]) -> Factor:
    """The rates as they are."""
    del step, total
    return jnp.ones(())


def cosine(step: Int[Array, ""], total: Int[Array, ""], *, warmup: float, end: float) -> Factor:
    """Linear warm-up, then half a cosine down to `end` (Loshchilov & Hutter, 2017, equation 5).

    Args:
        step: steps already taken.
        total: steps of the whole run.
        warmup: share of the run that it takes to reach the full rate.
        end: the factor at the last step.

    Raises:
        UserError: a share that is not from 0 up to below 1, or an end that is not 0 to 1.
    """
    if not 0 <= warmup < 1:
        raise UserError(f"schedule.warmup={warmup}: it takes a number from 0 up to below 1")
    if not 0 <= end <= 1:
        raise UserError(f"schedule.end={end}: it takes a number of 0 to 1")
    rising = jnp.ceil(warmup * total)
    up = (step + 1) / jnp.maximum(rising, 1)
    share = (step - rising) / jnp.maximum(total - rising, 1)
    down = end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1)))
    return jnp.where(step < rising, up, down)
