"""The overrides of a sweep: the single runs that try each value, and values that stay the same."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from ctxenc.config import schema, search_path
from ctxenc.config.compose import parse


def single_runs(overrides: Sequence[str]) -> list[list[str]]:
    """Single runs that together try each value of a sweep once, the rest at their first value.

    Of an interval, both ends are tried.
    """
    fixed, swept = [], []
    for text, override in zip(overrides, parse(overrides), strict=True):
        if not override.is_sweep_override():
            fixed.append(text)
        elif values := _values(override):
            swept.append([f"{text.split('=')[0]}={value}" for value in values])
    first = [values[0] for values in swept]
    runs = [fixed + first]
    for i, values in enumerate(swept):
        runs += [[*fixed, *first[:i], value, *first[i + 1 :]] for value in values[1:]]
    return runs


def listed(text: str) -> str:
    """The override with its values one by one: not shuffled again, nor found anew among files."""
    (override,) = parse([text])
    if not override.is_discrete_sweep():
        return text
    return f"{text.split('=')[0]}={','.join(_values(override))}"


def with_absolute_values(text: str) -> str:
    """The override with a dataset's or mask's folder made absolute, so it holds from anywhere."""
    (override,) = parse([text])
    group, _, option = override.key_or_group.partition(".")
    key = schema.keys().get(group)
    if key is None or option.split(".")[-1] not in key.folders or "${" in text:
        return text  # a reference's value is made absolute where it is
    single = override.value() if not override.is_sweep_override() else ""
    values = _values(override) or ([str(single)] if single else [])
    paths = [str(Path(value.strip("'\"")).expanduser().absolute()) for value in values]
    quoted = ["'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'" for path in paths]
    return f"{text.split('=')[0]}={','.join(quoted)}" if quoted else text


def _values(override: Override) -> list[str]:
    """The values of a sweep, as a command line would have them; the ends of an interval."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    if isinstance(value, Glob):
        return value.filter(list(search_path.choices(override.key_or_group)))
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else []
