"""Which runs are shown and in which order: sort keys and filters."""

import difflib
from collections.abc import Sequence
from typing import Any

from ctxenc.comparison import discovery, figures, settings
from ctxenc.comparison.records import Record
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS

OWN_KEYS = ("run", "state", "step", "seconds")


def ordered(runs: Sequence[Record], sort: str) -> list[Record]:
    """Best first for metrics, upwards for the rest; runs without the value last.

    Args:
        runs: in the order that ties keep.
        sort: one of `OWN_KEYS`, a metric, ``best.`` and a metric, or a key of the configuration;
            a leading minus reverses.
    """
    name = sort.removeprefix("-")
    metric = METRICS.get(name.removeprefix("best."))

    def key(run: Record) -> Any:
        found = value(name, run)
        return metric.badness(float(found or 0)) if metric else _comparable(found or 0)

    known = [run for run in runs if value(name, run) is not None]
    known.sort(key=key, reverse=sort.startswith("-"))
    return known + [run for run in runs if value(name, run) is None]


def kept(records: Sequence[Record], filters: Sequence[str]) -> list[Record]:
    """The runs for which every ``KEY=VALUE`` holds.

    Raises:
        UserError: not of that form, an unknown key, or none is left.
    """
    for text in filters:
        if "=" not in text:
            raise UserError(f"--filter={text}: expected KEY=VALUE")
        check_key(text.split("=")[0], records, "--filter")
    found = [record for record in records if all(_holds(text, record) for text in filters)]
    if not found:
        raise UserError(f"{' '.join(filters)}: none of the {len(records)} runs is like that")
    return found


def check_key(key: str, records: Sequence[Record], option: str, *, sorts: bool = True) -> None:
    """Refuse a key that no run has; with `sorts` those that are no settings are keys too.

    Raises:
        UserError: naming the near ones.
    """
    known = list(dict.fromkeys(k for r in records for k in r.settings.values))
    if sorts:
        metrics = dict.fromkeys([*METRICS, *figures.names(r.last for r in records)])
        known = [*OWN_KEYS, *metrics, *(f"best.{m}" for m in metrics), *known]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(known)}"
        raise UserError(f"{option}={key}: no such key; {hint}")


def value(name: str, record: Record) -> float | str | None:
    """A run's value of a key that one can sort by; None where it has none."""
    if name == "run":
        return record.label
    if name in OWN_KEYS:
        own: float | str | None = getattr(record, name)
        return own
    metric = name.removeprefix("best.")
    if metric not in METRICS and name in record.settings.values:
        return record.settings.values[name]
    return (record.last if metric == name else record.best).get(metric)


def _comparable(found: float | str) -> tuple[int, float, list[tuple[int, int | str]]]:
    try:
        return (0, float(found), [])
    except ValueError:
        return (1, 0.0, discovery.natural(str(found)))


def _holds(text: str, record: Record) -> bool:
    key, _, wanted = text.partition("=")
    found = value(key, record)
    return found is not None and settings.same_value(settings.text(found), wanted)
