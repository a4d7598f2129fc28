"""Runs that are the same but for one key, put together: what the choice of a seed is worth."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ctxenc.comparison import discovery, settings
from ctxenc.comparison.records import METRICS, Record
from ctxenc.comparison.selection import DEFAULT_SORT


@dataclass(frozen=True)
class Group:
    """Runs that are the same but for one key: the mean and standard deviation of each metric.

    `spread` is None for a single run. Only finished runs count; `others` is how many did not.
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
    groups: dict[tuple[tuple[str, str], ...], list[Record]] = {}
    for run in sorted(runs, key=lambda run: discovery.counted(run.label)):
        rest = {
            k: v
            for k, v in run.settings.values.items()
            if k not in settings.IDLE and k != key and not k.startswith(f"{key}.")
        }
        groups.setdefault(tuple(sorted(rest.items())), []).append(run)
    found = [_group(members, key) for members in groups.values()]
    return sorted(found, key=lambda g: g.mean.get(DEFAULT_SORT, -float("inf")), reverse=True)


def _group(members: list[Record], key: str) -> Group:
    counted = [run for run in members if run.state == "finished"]
    values = {m: [run.last[m] for run in counted] for m in METRICS}
    return Group(
        runs=tuple(members),
        values=tuple(run.settings.values.get(key, "") for run in counted),
        mean={m: statistics.fmean(v) for m, v in values.items() if v},
        spread={m: statistics.stdev(v) if len(v) > 1 else None for m, v in values.items()},
        others=len(members) - len(counted),
    )
