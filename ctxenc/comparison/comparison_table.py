"""A comparison as tables: what differs in the configurations, what differs in the results."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from ctxenc.comparison import figures, settings
from ctxenc.comparison.figures import MAIN
from ctxenc.comparison.records import Record, natural
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import Cell, Column, Row, Table
from ctxenc.errors import printable
from ctxenc.metrics.registry import METRICS

CHANGE = f"change.{MAIN}"
HOW_IT_WENT = (
    Column("state", "status"),
    Column("step", "step", True),
    Column("seconds", "time", True),
)


def tables(
    comparison: Comparison,
    pairs: Sequence[Table] = (),
    *,
    group_by: str | None = None,
    top: int | None = None,
    everything: bool = False,
    monitor: str = MAIN,
) -> list[Table]:
    """Every table of a comparison.

    Args:
        comparison: the sections and the runs without figures.
        pairs: paired differences, as `ctxenc.comparison.paired.tables` gives them.
        group_by: a key of the configuration to take means over, instead of a row a run.
        top: how many groups of a section are kept; None for all.
        everything: every key and every metric, not only those that differ or matter most.
        monitor: a metric that is shown in any case, and by which groups are ordered.
    """
    minor = {n for n, metric in METRICS.items() if metric.minor and n != monitor and not everything}
    found = []
    for number, section in enumerate(comparison.sections):
        key = f"section-{number}"
        if group_by is None:
            found.append(_section_table(section, key, minor, everything))
        else:
            found.append(_group_table(section, key, minor, group_by, top, monitor))
    found += pairs
    troubled = [*comparison.unranked, *(run for run in comparison.ranked if run.problem)]
    if troubled:
        columns = (Column("run", "run"), *HOW_IT_WENT, Column("problem", "reason"))
        rows = [_run(run, None) for run in troubled]
        found.append(Table("trouble", "Not finished, or not whole", (), columns, rows))
    return found


def grouped(runs: Sequence[Record], key: str) -> list[list[Record]]:
    """Comparable runs, put together where they are the same but for `key`.

    Keys that change no result, such as ``num_workers``, do not keep runs apart.
    """
    apart = _decisive((k for run in runs for k in run.settings.values), key)
    groups: dict[tuple[str | None, ...], list[Record]] = {}
    for run in sorted(runs, key=lambda run: natural(run.label)):
        groups.setdefault(tuple(map(run.settings.values.get, apart)), []).append(run)
    return list(groups.values())


def _decisive(keys: Iterable[str], by: str) -> list[str]:
    """Those that change results, without `by` and its options."""
    apart = dict.fromkeys(k for k in keys if k != by and not k.startswith(f"{by}."))
    return list(filter(settings.changes_results, apart))


def _section_table(section: Section, key: str, minor: set[str], everything: bool) -> Table:
    """The runs of a section: what differs in them, how they went, and their test metrics."""
    runs, against = section.runs, section.baseline
    found = [run.settings for run in runs]
    keys = settings.differing(found)
    if everything:
        keys = list(dict.fromkeys(k for s in found for k in s.values))
    columns = [Column("run", "run"), *(Column(k, k, setting=True) for k in keys)]
    for name in figures.names(run.last for run in runs):
        heading, best = figures.heading(name), everything or name == MAIN
        columns.append(Column(name, heading, True, name in minor, metric=name))
        columns.append(Column(f"best.{name}", f"best {heading}", True, not best, metric=name))
        if name == MAIN and against is not None:
            columns.append(Column(CHANGE, f"change {METRICS[name].unit}", True))
    columns += [*HOW_IT_WENT, Column("path", "path", hidden=True)]
    notes = [section.note] if section.note else []
    fills = [
        f"{name.replace('_', ' ')} {figures.shown(MAIN, found[MAIN])} {METRICS[MAIN].unit}"
        for name, found in runs[0].baselines.items()
        if MAIN in found
    ]
    if fills:
        notes.append(f"Fills that need no training: {', '.join(fills)}.")
    if against is not None and len(runs) + section.hidden > 1:
        notes.append(f"Change: {METRICS[MAIN].title} at the last test against {against.label}.")
    if section.hidden:
        notes.append(f"{section.hidden} more not shown.")
    return Table(key, section.title, notes, columns, [_run(run, against) for run in runs])


def _run(run: Record, baseline: Record | None) -> Row:
    row = {key: _cell(run, key, value) for key, value in run.values.items()}
    if baseline is run:
        row[CHANGE] = Cell("baseline")
    elif baseline is not None and MAIN in run.last and MAIN in baseline.last:
        difference = run.last[MAIN] - baseline.last[MAIN]
        row[CHANGE] = Cell(figures.signed(MAIN, difference), difference)
    return row | {"path": Cell.of(str(run.run.path)), "problem": Cell.of(run.problem)}


def _cell(run: Record, key: str, value: float | str) -> Cell:
    if isinstance(value, str):
        return replace(Cell.of(value), text=printable(run.shown(key, value)))
    own = {"step": "{:,}".format, "seconds": _duration}
    shown = own.get(key, partial(figures.shown, key.removeprefix("best.")))
    return Cell(shown(value), value)


def _group_table(
    section: Section, key: str, minor: set[str], by: str, top: int | None, monitor: str
) -> Table:
    """The runs of a section put together: mean ± standard deviation over the key `by`."""
    keys = _decisive(settings.differing([run.settings for run in section.runs]), by)
    columns = [*(Column(k, k) for k in keys), Column("n", "n", True), Column("values", by)]
    for name in figures.names(run.last for run in section.runs):
        heading = figures.heading(name)
        columns.append(Column(name, heading, True, name in minor))
        columns.append(Column(f"{name}.sd", f"{heading} sd", True, hidden=True))
    notes = [section.note] if section.note else []
    notes.append(f"Mean ± standard deviation over {by}, at the last test of the finished runs.")
    groups = [_group(members, by) for members in grouped(section.runs, by)]
    groups.sort(key=lambda group: figures.badness(group[0], monitor))
    return Table(key, section.title, notes, columns, [row for _, row in groups[:top]])


def _group(members: Sequence[Record], by: str) -> tuple[figures.Figures, Row]:
    """(the mean of each metric over the finished runs, the row)."""
    finished = [run for run in members if run.state == "finished"]
    count, of = len(finished), len(members)
    row = {key: _cell(members[0], key, v) for key, v in members[0].settings.values.items()}
    row["n"] = Cell(str(count) if count == of else f"{count} (of {of})", count)
    of_each = (run.shown(by, run.settings.values.get(by, "")) for run in finished)
    row["values"] = Cell.of(", ".join(of_each))
    means = {}
    for name in figures.names(run.last for run in finished):
        values = [run.last[name] for run in finished if name in run.last]
        means[name] = statistics.fmean(values)
        text, deviation = figures.shown(name, means[name]), None
        if len(values) > 1:
            deviation = statistics.stdev(values)
            text += f" ± {figures.shown(name, deviation)}"
        row[name], row[f"{name}.sd"] = Cell(text, means[name]), Cell("", deviation)
    return means, row


def _duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"
