"""What a process is told before JAX computes in it, so that it starts soon and runs fast."""

import ctypes
import logging
import os
import sys

import jax

from ctxenc import paths, xla_flags
from ctxenc.errors import UserError

log = logging.getLogger(__name__)

# <malloc.h>; mallopt(3) says what they do.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


# JAX's settings that change what is computed, its types or its random numbers. Runs would not
# compare, checkpoints not be read, and under some nothing works.
EXPECTED = {
    "jax_enable_x64": False,
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_default_matmul_precision": None,  # `precision` says it
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard": None,
}


def check_settings() -> None:
    """Refuse JAX's settings under which ctxenc would compute something else, with a `UserError`.

    Of a fault of XLA that could not be switched off it warns: no step here was found to meet it.
    """
    for name, expected in EXPECTED.items():
        found = jax.config.values.get(name, expected)
        found = getattr(found, "value", found)  # some are enumerations
        if found != expected:
            raise UserError(
                f"{name.upper()}={found}: expected {expected}, as everything here is computed "
                f"with; unset it, or jax.config.update('{name}', {expected!r})"
            )
    if not xla_flags.GUARDED and jax.default_backend() == "cpu":
        log.warning(
            "JAX computed before ctxenc was imported, so this jaxlib's wrong sums (issue 39103) "
            "stay: import ctxenc first, or set XLA_FLAGS=%s",
            xla_flags.FLAG,
        )


def platform() -> str:
    """JAX's platform, ``cpu`` say; a `UserError` where the one that was asked for is not there.

    From the first call on, JAX has its threads.
    """
    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["no such device; unset, JAX takes what there is"])[0]
        asked = jax.config.values["jax_platforms"]
        raise UserError(f"JAX_PLATFORMS={asked}: {reason[:200]}") from None


def keep_programs() -> None:
    """Keep XLA's compiled programs between processes, in the user's cache folder.

    JAX's own settings win: ``JAX_COMPILATION_CACHE_DIR`` moves it, and
    ``JAX_ENABLE_COMPILATION_CACHE=false`` switches it off.
    """
    folder = paths.cache("xla")
    if folder is not None and jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # The many small programs of a start, too: reading one takes a fraction of compiling it.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def keep_memory() -> bool:
    """Have this process keep what it frees, where that pays: glibc, and XLA on the CPU.

    Every step allocates and frees the same temporaries (158 MB for ``model=cifar``). glibc's malloc
    returns such blocks to the kernel at once, which costs a step some 38,000 page faults: about an
    eighth of its time. See ``docs/performance.md``.

    It has to be called before JAX starts its threads, when it is not known yet whether they will
    be on a CPU: so elsewhere the threads share one arena too. The user's own ``GLIBC_TUNABLES`` or
    ``MALLOC_…`` settings win. Returns whether all was done.
    """
    users = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if users or mallopt is None:  # musl has none
        return False
    mallopt(M_ARENA_MAX, 1)  # the threads that JAX starts next would give theirs back whole
    if platform() != "cpu":
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
