"""The checker of annotations in tests: beartype, to which a whole number is a float too."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """What checks it; not a function within another, of which each call would make a new check."""
    return function if "<locals>" in function.__qualname__ else _checked(function)
