"""Runs that are the same but for one key, put together: what the choice of a seed is worth."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ctxenc.comparison import discovery, figures, settings
from ctxenc.comparison.records import Record
from ctxenc.config.schema import Role


@dataclass(frozen=True)
class Group:
    """Runs that are the same but for one key: the mean and standard deviation of each metric.

    `spread` is None where a single run has the metric. Only finished runs count; `others` is how
    many did not finish.
    """

    runs: tuple[Record, ...]
    values: tuple[str, ...]
    mean: dict[str, float]
    spread: dict[str, float | None]
    others: int


def grouped(runs: Sequence[Record], key: str) -> list[Group]:
    """Runs that compare, put together where they are the same but for `key`; best first.

    Keys that change no result, such as ``num_workers``, do not keep runs apart.
    """
    keys = dict.fromkeys(k for run in runs for k in run.settings.values)
    apart = [k for k in keys if not inside(k, key) and changes_results(k)]
    groups: dict[tuple[str | None, ...], list[Record]] = {}
    for run in sorted(runs, key=lambda run: discovery.natural(run.label)):
        groups.setdefault(tuple(map(run.settings.values.get, apart)), []).append(run)
    found = [_group(members, key) for members in groups.values()]
    return sorted(found, key=lambda group: figures.badness(group.mean))


def inside(key: str, group: str) -> bool:
    """Whether a dotted key is `group`, or one of its options."""
    return key == group or key.startswith(f"{group}.")


def changes_results(key: str) -> bool:
    """Whether runs that differ in this key alone may end differently."""
    return settings.role(key) not in (Role.IDLE, Role.PLACE)


def _group(members: list[Record], key: str) -> Group:
    finished = [run for run in members if run.state == "finished"]
    values = {
        m: [run.last[m] for run in finished if m in run.last]
        for m in figures.names(run.last for run in finished)
    }
    return Group(
        runs=tuple(members),
        values=tuple(run.settings.values.get(key, "") for run in finished),
        mean={m: statistics.fmean(v) for m, v in values.items()},
        spread={m: statistics.stdev(v) if len(v) > 1 else None for m, v in values.items()},
        others=len(members) - len(finished),
    )
