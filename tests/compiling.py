"""XLA's ways in this process, which are quick to compile: no optimizing, an older code generator.

The generator is jaxlib 0.10's: a small step that is not optimized compiles in 1.6 s of processor
time with it and in 4.2 without. What users have, the programs have that tests start, tests on a
GPU, the slow tests (Makefile), and all where the variable is 0.
"""

import os
from importlib import metadata
from unittest import mock

import jax

from ctxenc import paths, runtime

UNOPTIMIZED = "JAX_DISABLE_MOST_OPTIMIZATIONS"
QUICK = os.environ.get("JAX_PLATFORMS") == "cpu" and UNOPTIMIZED not in os.environ

AS_HERE = {UNOPTIMIZED: "1"} if QUICK else {}
"""The environment of a program that is to compute the very bits that this process does."""

if QUICK and metadata.version("jaxlib").startswith("0.10."):  # a later XLA may lack the flag
    older = "--xla_cpu_use_fusion_emitters=false"
    AS_HERE["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {older}".strip()


def be_quick() -> None:
    """Have XLA compile so from here on; before it has compiled anything."""
    if QUICK:
        jax.config.update(UNOPTIMIZED.lower(), True)
        with mock.patch.dict(os.environ, AS_HERE):
            jax.devices()  # has XLA read its flags


def keep_programs() -> None:
    """As `runtime` does, but apart from users': the programs' keys do not tell of the generator."""
    users, own = paths.cache("xla"), paths.cache("xla-in-tests")
    runtime.keep_programs()
    if QUICK and own and jax.config.values["jax_compilation_cache_dir"] == str(users):
        jax.config.update("jax_compilation_cache_dir", str(own))
