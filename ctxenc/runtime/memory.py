"""Memory that XLA's CPU programs free is kept for the next step, not given back to the system.

Every step allocates and frees the same temporaries (158 MB for ``model=cifar``). glibc's malloc
returns such blocks to the kernel at once, which costs a step some 38,000 page faults: about an
eighth of its time. See ``docs/performance.md``.
"""

import ctypes
import os
import sys

import jax

# <malloc.h>; mallopt(3) says what they do.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_memory() -> bool:
    """Have this process keep what it frees, where that pays: glibc, and XLA on the CPU.

    Only the first call in a process, before JAX has started its threads, can do it all; so on a GPU
    or TPU the threads of the process share one arena too, which is not known yet at that time. The
    user's own ``GLIBC_TUNABLES`` or ``MALLOC_…`` settings win. Returns whether all was done.
    """
    users = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if users or mallopt is None:  # musl has none
        return False
    mallopt(M_ARENA_MAX, 1)  # the threads that JAX starts next would give theirs back whole
    if jax.default_backend() != "cpu":
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
