"""A computation in several ways, of which each platform is given the one that is fast there.

`lax.platform_dependent` chooses when a program is lowered; until then JAX traces every way, and its
gradients, which was half of all tracing of a step. So the way is chosen when a program is traced,
for the platform that JAX computes on. The ways differ by rounding alone: a program that is lowered
for another platform is right there, if not as fast, and one that is meant for several is traced
under ``with written_for(EVERY)``.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax.extend import backend
from jaxtyping import Array

EVERY = "every"

written_for = jax.make_user_context(None)
"""``with written_for("tpu"):`` has what is traced within written as for that platform.

None is JAX's own platform; `EVERY` leaves the choice to `lax.platform_dependent`.
"""


def fastest(*operands: Array, default: Callable[..., Array], **ways: Callable[..., Array]) -> Array:
    """The operands by the way that the platform has among `ways`, or by `default`.

    Args:
        operands: what each way is called with.
        default: for the platforms that are not named.
        ways: by ``cpu``, ``cuda``, ``rocm`` or ``tpu``.
    """
    platform = written_for.value or _platform()
    if platform == EVERY:
        return lax.platform_dependent(*operands, default=default, **ways)
    return ways.get(platform, default)(*operands)


def _platform() -> str:
    """The one that JAX computes on; it calls both kinds of GPU ``gpu``."""
    name: str = jax.default_backend()
    if name != "gpu":
        return name
    return "rocm" if "rocm" in backend.get_backend().platform_version else "cuda"
