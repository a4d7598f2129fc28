import os
import random
import signal

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

import tests.type_checker  # noqa: F401  # the hook looks it up

install_import_hook("ctxenc", "tests.type_checker.check")  # annotations are checked in every test

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, settings
from PIL import Image

from ctxenc.metrics import sliced_wasserstein
from ctxenc.report import curves
from ctxenc.run_folder.files import whole
from tests import compiling

compiling.be_quick()

# The same examples every time, so that a change is never judged by luck; no long shrinking.
settings.register_profile(
    "steady", derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _keep_programs():
    compiling.keep_programs()


@pytest.fixture(scope="session", autouse=True)
def _as_in_a_terminal():
    """In a shell's background jobs Ctrl-C is ignored, under nohup SIGHUP; in their children too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _the_same_items():
    """Of a list beartype checks one item that it draws: the same ones every time."""
    random.seed(0)


PATCHES, DRAW = sliced_wasserstein.PATCHES, curves.save


def _blank(file, picture):
    with whole(file) as temporary:
        Image.new("RGB", (1, 1)).save(temporary, format="png")


@pytest.fixture(scope="session", autouse=True)
def _less_by_the_way():
    """What every run draws and every evaluation has several of, in the tests of other things."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliced_wasserstein, "PATCHES", 2_000)
        patch.setattr(curves, "save", _blank)
        yield


def _in_full():
    """For a test that looks at a run's curves, or at sliced Wasserstein distances."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliced_wasserstein, "PATCHES", PATCHES)
        patch.setattr(curves, "save", DRAW)
        yield


in_full = pytest.fixture(_in_full)
module_in_full = pytest.fixture(_in_full, scope="module")


@pytest.fixture
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8))


@pytest.fixture
def key():
    return jax.random.key(0)
