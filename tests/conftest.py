import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import compilation


@pytest.fixture(scope="session", autouse=True)
def _keep_programs():
    compilation.keep_programs()


@pytest.fixture
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8))


@pytest.fixture
def key():
    return jax.random.key(0)
