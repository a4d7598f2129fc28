"""A saved configuration with anything anywhere builds what it says, or is refused in one line."""

import contextlib
import copy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ctxenc.config import build
from ctxenc.config.checks import check, compatible
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from tests.tiny import TINY

ANYTHING = (
    *(None, True, -1, 0, 3, 1e308, 10**30, float("nan"), float("inf")),
    *("", "x", "${seed}", "???", "os.system", "\x1b[31m", "\u202e", "x" * 10_000),
    *([], [1], [[[]]], {}, {1: 2}, {"_target_": "os.system"}, [{"_target_": "os.system"}]),
)
GONE = object()


def _places(node, above=()):
    for key, value in node.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _places(value, (*above, key))


WHOLE = OmegaConf.to_container(compose(TINY))
PLACES = list(_places(WHOLE))
CHANGE = {"place": st.sampled_from(PLACES), "value": st.sampled_from([GONE, *ANYTHING])}


def _changed(place, value):
    config = copy.deepcopy(WHOLE)
    node = config
    for key in place[:-1]:
        node = node[key]
    if value is GONE:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return config


def _fuzz(place, value):
    config = _changed(place, value)
    with contextlib.suppress(UserError):
        _built(config)


def _built(config):
    """As a saved folder's configuration is built."""
    return build.model(check(compatible(OmegaConf.create(config), Path("folder"))))


@settings(max_examples=25)
@given(**CHANGE)
def test_anything_anywhere_is_refused_or_built(place, value):
    _fuzz(place, value)


@pytest.mark.slow
@settings(max_examples=500)
@given(**CHANGE)
def test_anything_anywhere_is_refused_or_built_at_length(place, value):
    _fuzz(place, value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("mask", "mask_height"), GONE),
        (("mask", "overlap"), float("nan")),
        (("mask", "overlap"), 1e308),
        (("mask", "overlap"), float("inf")),
        (("loss", "reconstruction"), GONE),
        (("model", "discriminator"), GONE),
        (("model",), {}),
        (("loss",), "os.system"),
        (("dataset",), [1]),
        (("image_size",), 10**6),
    ],
)
def test_what_once_ended_in_a_traceback(place, value):
    with pytest.raises(UserError):
        _built(_changed(place, value))
