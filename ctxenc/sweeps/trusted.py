"""What the saved command of a sweep may ask for: its folder may be anybody's.

It runs no code that is not allowed and reads no file elsewhere: its overrides may set keys, choose
by name, and of Hydra's own keys set names and numbers.
"""

import re
from pathlib import Path

from hydra.core.override_parser.types import Override

from ctxenc.config import references, schema
from ctxenc.config.compose import parse
from ctxenc.config.instantiate import check_allowed
from ctxenc.errors import UserError
from ctxenc.sweeps.overrides import plain_values

HYDRAS_OWN = re.compile(  # keys whose values are names of installed plugins, numbers and names
    r"""hydra/(launcher | sweeper | sweeper/sampler)
    | hydra\.sweeper\.(n_trials | n_jobs | direction | max_failure_rate | sampler\.seed)
    | hydra\.launcher\.(n_jobs | timeout_min | max_num_timeout | array_parallelism | nodes | mem_gb
        | cpus_per_task | gpus_per_node | partition | qos | account | gres | constraint
        | ray\.remote\.num_[cg]pus)""",
    re.VERBOSE,
)
NAMES = re.compile(r"""[\w\s,()\[\]*'"-]*""")  # of choices; no path to a file elsewhere


def check(text: str, file: Path) -> None:
    """Refuse an override of a saved sweep that could run code or read other files.

    Raises:
        UserError: naming `file` (``sweep.json``) and the override.
    """
    if text.startswith("-") or not all(map(_is_safe, read := parse([text]))):
        raise UserError(
            f"{file}: {text}: not taken from a saved folder, which may be anybody's; with resume=… "
            "give hydra/launcher=… and its keys again, --config-dir and hydra.searchpath=… too"
        )
    for override in read:
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
