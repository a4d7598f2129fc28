"""Settings: runs put together that differ only in the keys that are averaged over, as in the seed.

Another seed changes a figure, so what a setting is worth is said by several runs of it. Each value
of the seed counts once: copies of a run say nothing new.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ctxenc.comparison import settings
from ctxenc.comparison.records import Record, natural

SEED = "seed"
MOST_KEYS = 4  # in the name of one run; where more differ, its label is shorter

Draw = tuple[str, ...]  # a run's values of the keys that are averaged over


@dataclass(frozen=True, eq=False)
class Group:
    """The runs of one setting.

    Attributes:
        runs: All of them, by their labels.
        draws: Those that figures are averaged over, each value of the keys once: the runs that
            finished. Where nothing is averaged over, the one run, as far as it came.
        repeated: How many finished runs are left out, since another has the same values.
    """

    runs: tuple[Record, ...]
    draws: Mapping[Draw, Record]
    repeated: int = 0

    @classmethod
    def of(cls, members: Sequence[Record], by: Sequence[str]) -> "Group":
        """The group of runs that are the same but for the keys `by`; empty: of one run."""
        runs = tuple(sorted(members, key=lambda run: natural(run.label)))
        finished = [run for run in runs if run.state == "finished" or not by]
        draws: dict[Draw, Record] = {}
        for run in finished:
            draws.setdefault(tuple(run.settings.values.get(key, "") for key in by), run)
        return cls(runs, draws, len(finished) - len(draws))


def grouped(runs: Sequence[Record], by: Sequence[str]) -> list[Group]:
    """Comparable runs, put together where they are the same but for the keys `by`.

    Keys that change no result, such as ``num_workers``, do not keep runs apart. Without `by` each
    run is a group of its own.
    """
    if not by:
        return [Group.of([run], by) for run in runs]
    apart = decisive((key for run in runs for key in run.settings.values), by)
    found: dict[tuple[str | None, ...], list[Record]] = {}
    for run in runs:
        # Of a run without a configuration it is not known what it is the same as.
        alone = () if run.settings.values else (run.label,)
        place = (*map(run.settings.values.get, apart), *alone)
        found.setdefault(place, []).append(run)
    return [Group.of(members, by) for members in found.values()]


def usual(runs: Sequence[Record]) -> tuple[str, ...]:
    """What is averaged over where nothing else is asked for: the seed, where settings have several.

    Copies of a run have one seed, and are not put together.
    """
    several = any(len(group.draws) > 1 for group in grouped(runs, (SEED,)))
    return (SEED,) if several else ()


def decisive(keys: Iterable[str], by: Sequence[str] = ()) -> list[str]:
    """The keys that change results, without those of `by` and their options."""
    left = dict.fromkeys(keys)
    for name in by:
        left = dict.fromkeys(k for k in left if k != name and not k.startswith(f"{name}."))
    return list(filter(settings.changes_results, left))


def names(found: Sequence[Group], by: Sequence[str] = ()) -> list[str]:
    """What tells each from the others: the settings that differ, else its first run's label."""
    firsts = [group.runs[0] for group in found]
    keys = decisive(settings.differing([r.settings for group in found for r in group.runs]), by)
    keys = keys or ["name"] if by else keys
    said = [
        "  ".join(f"{k}={run.shown(k, v)}" for k in keys if (v := run.settings.values.get(k)))
        for run in firsts
    ]
    apart = len(set(said)) == len(said) and all(said) and (len(keys) <= MOST_KEYS or by)
    return said if apart else [run.label for run in firsts]
