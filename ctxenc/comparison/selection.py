"""Which runs are shown and in which order: sort keys and filters."""

import difflib
from collections.abc import Sequence

from ctxenc.comparison import discovery, settings
from ctxenc.comparison.records import METRICS, Record
from ctxenc.errors import UserError

DEFAULT_SORT = "psnr_db"
OWN_KEYS = ("run", "state", "step", "seconds", *METRICS, *(f"best.{m}" for m in METRICS))


def ordered(runs: Sequence[Record], sort: str) -> list[Record]:
    """Best first for metrics, upwards for the rest; runs without the value last.

    Args:
        runs: in the order that ties keep.
        sort: one of `OWN_KEYS` or a key of the configuration; a leading minus reverses.
    """
    name = sort.removeprefix("-")
    metric = METRICS.get(name.removeprefix("best."))
    down = (metric is not None and metric.higher_is_better) != sort.startswith("-")
    known = [run for run in runs if value(name, run) is not None]
    known.sort(key=lambda run: _comparable(value(name, run)), reverse=down)
    return known + [run for run in runs if value(name, run) is None]


def kept(records: Sequence[Record], filters: Sequence[str]) -> list[Record]:
    """The runs for which every ``KEY=VALUE`` holds.

    Raises:
        UserError: not of that form, an unknown key, or none is left.
    """
    for text in filters:
        if "=" not in text:
            raise UserError(f"--filter={text}: it takes KEY=VALUE")
        check_key(text.split("=")[0], records, "--filter")
    found = [record for record in records if all(_holds(text, record) for text in filters)]
    if not found:
        raise UserError(f"{' '.join(filters)}: none of the {len(records)} runs is like that")
    return found


def check_key(
    key: str, records: Sequence[Record], option: str, own: Sequence[str] = OWN_KEYS
) -> None:
    """Refuse a key that no run has.

    Raises:
        UserError: naming the near ones.
    """
    known = dict.fromkeys([*own, *(k for r in records for k in r.settings.values)])
    if key not in known:
        near = difflib.get_close_matches(key, list(known), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it takes {', '.join(known)}"
        raise UserError(f"{option}={key}: no such key; {hint}")


def value(name: str, record: Record) -> float | str | None:
    """A run's value of one of `OWN_KEYS` or of the configuration; None where it has none."""
    own: dict[str, float | str | None] = {
        "run": record.label,
        "state": record.state,
        "step": record.step,
        "seconds": record.seconds,
    }
    if name in own:
        return own[name]
    if name in METRICS:
        return record.last.get(name)
    if name in OWN_KEYS:
        return record.best.get(name.removeprefix("best."))
    return record.settings.values.get(name)


def _comparable(found: float | str | None) -> tuple[int, float, list[tuple[int, int | str]]]:
    try:
        return (0, float(found or 0), [])
    except ValueError:
        return (1, 0.0, discovery.counted(str(found)))


def _holds(text: str, record: Record) -> bool:
    key, _, wanted = text.partition("=")
    found = value(key, record)
    return found is not None and settings.same_value(settings.text(found), wanted)
