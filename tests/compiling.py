"""XLA's ways in tests, which are quick to compile: no optimizing, an older code generator.

The generator is jaxlib 0.10's: a small step that is not optimized compiles in 1.6 s of processor
time with it and in 4.2 without. The programs that tests start have them too. What users have, the
wheel has, one step on four devices, tests on a GPU, the slow ones (Makefile), and all where the
variable is 0.
"""

import os
from importlib import metadata

import jax

from ctxenc import paths, runtime

UNOPTIMIZED = "JAX_DISABLE_MOST_OPTIMIZATIONS"
CACHE = "JAX_COMPILATION_CACHE_DIR"
LEAST_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
QUICK = os.environ.get("JAX_PLATFORMS") == "cpu" and os.environ.get(UNOPTIMIZED) != "0"

GENERATOR = "--xla_cpu_use_fusion_emitters=false"  # a later XLA may lack the flag


def be_quick() -> None:
    """Have XLA compile so from here on, in this process and in those that it starts."""
    if QUICK:
        os.environ[UNOPTIMIZED] = "1"
        jax.config.update(UNOPTIMIZED.lower(), True)  # JAX read its variables when it was imported
        if metadata.version("jaxlib").startswith("0.10."):
            os.environ["XLA_FLAGS"] = with_flags(GENERATOR)
        jax.devices()  # has XLA read its flags, before a test changes them


def with_flags(flag: str) -> str:
    """`XLA_FLAGS`, with one added."""
    given = os.environ.get("XLA_FLAGS", "").split()
    return " ".join([*given, *([] if flag in given else [flag])])


def keep_programs() -> None:
    """As `runtime` does, but apart from users': the programs' keys do not tell of the generator."""
    if QUICK and (own := paths.cache("xla-in-tests")) and CACHE not in os.environ:
        os.environ |= {CACHE: str(own), LEAST_SECONDS: "0"}
        jax.config.update(CACHE.lower(), str(own))
        jax.config.update(LEAST_SECONDS.lower(), 0.0)
    runtime.keep_programs()


def as_users_have_it() -> dict[str, str]:
    """The environment without what is quick here."""
    flags = os.environ.get("XLA_FLAGS", "").replace(GENERATOR, "")
    quick = (UNOPTIMIZED, CACHE, LEAST_SECONDS)
    return {k: v for k, v in os.environ.items() if k not in quick} | {"XLA_FLAGS": flags}
