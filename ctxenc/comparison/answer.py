"""A section's answer in a sentence: which setting is best, and whether another seed may differ."""

import math
from dataclasses import replace

import numpy as np

from ctxenc.comparison import figures, groups
from ctxenc.comparison.groups import Group
from ctxenc.comparison.sections import Section
from ctxenc.metrics.bootstrap import FEWEST_SEEDS, LEVEL, over_seeds, t_quantile
from ctxenc.metrics.registry import METRICS

MOST_SEEDS = 30  # that anyone would train to tell two settings apart


def sentence(section: Section, name: str) -> str:
    """By one metric of the last validation, as that is what choices are made by.

    The best may be among what ``top`` cut off of another order. Empty where there are no two
    settings with a finished run, or where the runs of one are apart.
    """
    section = replace(section, groups=(*section.groups, *section.cut), cut=())
    if not section.by and groups.usual(section.runs):
        return ""
    ranked = sorted(
        ((mean, group) for group in section.groups if (mean := _mean(group, name)) is not None),
        key=lambda pair: METRICS[name].badness(pair[0]),
    )
    if len(ranked) < 2:
        return ""
    (mean, best), (second_mean, second) = ranked[:2]
    metric = METRICS[name]
    words = f"Best by {section.split} {metric.title}: {section.names[best]}"
    lead = metric.badness(second_mean) - metric.badness(mean)
    shown = f"{figures.shown(name, lead)} {metric.unit}".strip()
    begin = f"{words}. Its lead over {section.names[second]}, {shown},"
    if not section.by:
        return f"{begin} is of one run each: train several seeds to see what another would change."
    if section.by != (groups.SEED,):
        over = ", ".join(section.by)
        return f"{begin} is of means over {over}: what another seed would change is not known."
    leads = _leads(best, second, name)
    seeds = len(leads)
    if seeds < FEWEST_SEEDS:
        few = "no seed that both have" if seeds == 0 else f"{seeds} seed{'s' * (seeds > 1)}"
        return f"{begin} is of {few}, too few to tell; {FEWEST_SEEDS} or more would."
    found = over_seeds(leads[:, None])
    ends = " to ".join(figures.signed(name, found[end]) for end in ("low", "high"))
    interval = f"({seeds} seeds, {LEVEL} % interval {ends})"
    if found["low"] > 0:
        return f"{begin} is more than another seed changes {interval}."
    return f"{begin} is within what another seed changes {interval}; {_enough(leads)}."


def _mean(group: Group, name: str) -> float | None:
    """Over the finished runs."""
    finished = [run for run in group.draws.values() if run.state == "finished"]
    found = [run.last[name] for run in finished if name in run.last]
    return float(np.mean(found)) if found else None


def _leads(best: Group, second: Group, name: str) -> np.ndarray:
    """By how much the one is better than the other, seed by seed, of those that both have."""
    badness = METRICS[name].badness
    both = [
        (run.last, second.draws[draw].last)
        for draw, run in best.draws.items()
        if draw in second.draws
    ]
    return np.array(
        [badness(b[name]) - badness(a[name]) for a, b in both if name in a and name in b]
    )


def _enough(leads: np.ndarray) -> str:
    """How many seeds would tell, if the lead and its spread stay what they are."""
    for seeds in range(len(leads) + 1, MOST_SEEDS + 1):
        half = t_quantile(seeds - 1) * leads.std(ddof=1) / math.sqrt(seeds)
        if half < leads.mean():
            return f"about {seeds} seeds would tell, if it stays as it is"
    return f"more than {MOST_SEEDS} seeds would be needed to tell"
