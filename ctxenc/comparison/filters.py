"""Which runs are wanted: ``lambda_adv=1e-3``, ``mask!=center``, ``psnr_db>16``."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ctxenc.comparison.records import Record
from ctxenc.errors import UserError

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
PATTERN = re.compile(r"([^=<>!]+)(<=|>=|!=|=|<|>)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """A key of `Record.values`, how it compares, and with what; 1e-3 is 0.001."""

    text: str
    key: str
    sign: str
    wanted: str

    @classmethod
    def of(cls, text: str) -> "Filter":
        """The filter that a user typed.

        Raises:
            UserError: it has no sign, or an order without a number.
        """
        if (found := PATTERN.fullmatch(text)) is None:
            raise UserError(f"--filter={text}: expected KEY=VALUE, or with !=, <, <=, > or >=")
        key, sign, wanted = (part.strip() for part in found.groups())
        if sign in ORDERS and _number(wanted) is None:
            raise UserError(f"--filter={text}: expected a number after {sign}")
        return cls(text, key, sign, wanted)

    def holds(self, run: Record) -> bool:
        """Whether the run is like that; one without the key is not."""
        if self.key not in run.values:
            return False
        value = str(run.values[self.key])
        number, wanted = _number(value), _number(self.wanted)
        if self.sign in ORDERS:
            return number is not None and ORDERS[self.sign](number, wanted)
        same = self.wanted in (value, run.shown(self.key, value))
        same |= number is not None and number == wanted
        return same is (self.sign == "=")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
