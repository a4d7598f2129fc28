"""The overrides of a sweep: their values, single runs that try each, and which may be saved ones.

The folder of a sweep may be anybody's. What is read back from ``sweep.json`` runs no code that is
not allowed and reads no file elsewhere: it may set keys, choose by name, and of Hydra's own keys
set names and numbers.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep

from ctxenc.config import references, schema, search_path
from ctxenc.config.compose import absolute, parse, quoted
from ctxenc.config.instantiate import check_allowed
from ctxenc.errors import UserError

HYDRAS_OWN = re.compile(  # keys whose values are names of installed plugins, numbers and names
    r"""hydra/(launcher | sweeper | sweeper/sampler)
    | hydra\.sweeper\.(n_trials | n_jobs | direction | max_failure_rate | sampler\.seed)
    | hydra\.launcher\.(n_jobs | timeout_min | max_num_timeout | array_parallelism | nodes | mem_gb
        | cpus_per_task | gpus_per_node | partition | qos | account | gres | constraint
        | ray\.remote\.num_[cg]pus)""",
    re.VERBOSE,
)
NAMES = re.compile(r"""[\w\s,()\[\]*'"-]*""")  # of choices; no path to a file elsewhere

MOST_VALUES = 10_000  # of a range, and jobs of a sweep


def key_of(text: str) -> str:
    """The key of an override, without ``+`` and ``~``."""
    return parse([text])[0].get_key_element().lstrip("+~")


def single_runs(overrides: Sequence[str]) -> list[list[str]]:
    """Single runs that together try each value of a sweep, the others at their first value.

    Of an interval, both ends are tried.
    """
    tried = [
        [f"{o.get_key_element()}={value}" for value in values(o)]
        if o.is_sweep_override()
        else [str(o.input_line)]
        for o in parse(overrides)
    ]
    first = [texts[0] for texts in tried]
    others = [
        [*first[:i], text, *first[i + 1 :]] for i, texts in enumerate(tried) for text in texts[1:]
    ]
    return [first, *others]


def settled(overrides: Sequence[str], *, listed: bool) -> list[str]:
    """The overrides as they will mean the same jobs again, from any folder.

    Of several with one key the last counts, as for Hydra's sweepers. Folders of datasets and masks
    become absolute; with `listed`, values are listed one by one, not shuffled again nor looked up
    among files again.
    """
    last = {override.get_key_element(): override for override in parse(overrides)}
    return [_settled(override, listed) for override in last.values()]


def _settled(override: Override, listed: bool) -> str:
    text, key = str(override.input_line), override.get_key_element()
    leads = leads_to_files(override.key_or_group)
    if leads and "${" not in text and any(folders := plain_values(override)):
        paths = ["null" if f is None else quoted(absolute(str(f), key)) for f in folders]
        return f"{key}={','.join(paths)}"
    if listed and override.is_discrete_sweep():
        return f"{key}={','.join(values(override))}"
    return text


def leads_to_files(key: str) -> bool:
    """Whether a key, or an option of a group, is a path of the user's."""
    group, _, option = key.partition(".")
    if known := schema.keys().get(group):
        return option.split(".")[-1] in known.folders if option else known.folder
    return False


def values(override: Override) -> list[str]:
    """The values of an override, as a command line would have them; the ends of an interval.

    Raises:
        UserError: a pattern that matches no choice of its group, or a range without end or values.
    """
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = (float(number or 0) for number in (value.start, value.stop, value.step))
        if not step or not (stop - start) / step <= MOST_VALUES:
            raise UserError(f"{override.input_line}: expected at most {MOST_VALUES} values")
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    if isinstance(value, Glob):
        choices = list(search_path.choices(override.key_or_group))
        if found := value.filter(choices):
            return found
        raise UserError(
            f"{override.input_line}: expected some of {', '.join(choices) or 'a group'}"
        )
    if override.is_sweep_override():
        if found := list(override.sweep_string_iterator()):
            return found
        raise UserError(f"{override.input_line}: no values in it; expected some")
    return [override.get_value_element_as_str()]


def plain_values(override: Override) -> list[Any]:
    """The values as a configuration gets them."""
    return [parse([f"key={value}"])[0].value() for value in values(override)]


def check_saved(text: str, file: Path) -> None:
    """Refuse an override of a saved sweep, `file`, that could run code or read other files."""
    if text.startswith("-") or not _is_safe(override := parse([text])[0]):
        raise UserError(
            f"{file}: {text}: not taken from a saved folder, which may be anybody's; with resume=… "
            "give hydra/launcher=… and its keys again, --config-dir and hydra.searchpath=… too"
        )
    for value in plain_values(override):
        for key in reversed(override.key_or_group.split(".")):
            value = {key: value}
        check_allowed(value, file)


def _is_safe(override: Override) -> bool:
    """Whether it sets a key, or a choice by its name, and calls no function."""
    key, package = override.key_or_group, override.package or ""
    value = (override.input_line or "").partition("=")[2]
    if re.match(r"hydra\b", key) and not HYDRAS_OWN.fullmatch(key):
        return False
    if "." in key or key in schema.keys().keys() - set(schema.groups()):
        return not package and references.plain(value)
    # Anything else may be a group of files.
    inside = not package or (package.startswith(f"{key}.") and ":" not in package)
    return inside and NAMES.fullmatch(value) is not None
