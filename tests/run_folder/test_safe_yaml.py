"""YAML in one pass: as the library's own, but for what could do harm."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ctxenc.run_folder import safe_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inside: st.lists(inside) | st.dictionaries(SCALARS, inside), max_leaves=12
)


@given(VALUES, st.sampled_from([None, False, True]))
def test_it_loads_what_the_library_does(value, flow):
    text = yaml.safe_dump(value, default_flow_style=flow)
    assert safe_yaml.load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    ["", "a: 1e-3", "a: !!str 12", "a: '12'", "a: 0o17", "[2024-01-15]", "a: yes", "? a\n: b", "~"],
)
def test_scalars_mean_what_they_do_elsewhere(text):
    assert safe_yaml.load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &b [1]\nc: *b",
        "[" * 65 + "]" * 65,
        "a: !!python/tuple [1]",
        "a: !!python/name:os.system x",
        "{[a]: 1}",
        "a: 1\n---\nb: 2",
        "a: [",
        "<<: {a: 1}",
    ],
)
def test_what_could_do_harm_is_refused(text):
    with pytest.raises((ValueError, yaml.YAMLError)):
        safe_yaml.load(text)
