"""The tab of masks: a strategy, its options, and what sixteen of its masks hide."""

import io
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from ctxenc import contact_sheet
from ctxenc.config.compose import compose, quoted
from ctxenc.config.search_path import choices
from ctxenc.errors import UserError
from ctxenc.window import LOCK
from ctxenc.window.runs import Query

COUNT = 16
MOST_COLUMNS = 8


class Masks:
    """The contact sheets of ``ctxenc.show``; `data` are overrides that choose the data set."""

    def __init__(self, data: Sequence[str]):
        self._data = list(data)
        self._size = int(compose(self._data).image_size)

    def choices(self, _: Query) -> dict[str, Any]:
        """Each strategy with what is said of it, and the `size` of images."""
        return {"size": self._size, "masks": choices("mask")}

    def options(self, query: Query, mask: str) -> dict[str, float | str | None]:
        """The options of a strategy with their defaults at `image_size`; None where there is none.

        Without `image_size`, it is that of the data set.
        """
        if mask not in choices("mask"):
            raise UserError(f"mask={mask}: expected {', '.join(choices('mask'))}")
        overrides = self._overrides(dict(query), mask)
        with LOCK:
            node: Any = OmegaConf.to_container(compose(overrides).mask, resolve=True)
        return _leaves(node)

    def sheet(self, query: Query, mask: str) -> bytes:
        """The contact sheet of `image_size`, in so many `columns`, with options, as a PNG."""
        given = dict(query)
        columns = given.pop("columns", "")
        if columns not in map(str, range(1, MOST_COLUMNS + 1)):
            raise UserError(f"columns={columns}: expected 1 to {MOST_COLUMNS}")
        known = self.options(query, mask)
        overrides = self._overrides(given, mask)
        given.pop("image_size", None)
        for name, value in given.items():
            if name not in known:
                raise UserError(f"mask.{name}: no such option; expected {', '.join(known)}")
            if isinstance(known[name], str | None):
                shown = quoted(value)
            elif isinstance(known[name], bool) and value in ("true", "false"):
                shown = value
            else:
                shown = _number(f"mask.{name}", value)
            overrides.append(f"mask.{name}={shown}")
        out = io.BytesIO()
        with LOCK:
            contact_sheet.draw(overrides, COUNT, int(columns)).sheet.save(out, format="PNG")
        return out.getvalue()

    def _overrides(self, given: dict[str, str], mask: str) -> list[str]:
        """Those of the data set, the strategy and, where it is given, the `image_size`."""
        overrides = [*self._data, f"mask={mask}"]
        if "image_size" in given:
            overrides.append(f"image_size={_number('image_size', given['image_size'])}")
        return overrides


def _number(key: str, value: str) -> str:
    """The value, which Hydra is to read as a number."""
    try:
        float(value)
    except ValueError:
        raise UserError(f"{key}={value}: expected a number") from None
    return value.strip()


def _leaves(node: dict[str, Any], above: str = "") -> dict[str, float | str | None]:
    """Options by their dotted names, those of parts too; lists are left out."""
    found: dict[str, float | str | None] = {}
    for name, value in node.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{above}{name}.")
        elif name != "_target_" and (value is None or isinstance(value, int | float | str)):
            found[f"{above}{name}"] = None if value == "???" else value
    return found
