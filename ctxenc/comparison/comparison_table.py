"""A comparison as tables: what differs in the configurations, what differs in the results."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ctxenc.comparison import evaluated_columns, figures, groups, probed, settings
from ctxenc.comparison.answer import sentence
from ctxenc.comparison.groups import Group
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import (
    Cell,
    Column,
    Row,
    Table,
    deviation,
    difference_row,
    ends_of,
    shared_decimals,
    spread,
    with_best,
)
from ctxenc.errors import printable
from ctxenc.metrics import bootstrap
from ctxenc.metrics.registry import MAIN, METRICS

HOW_IT_WENT = (
    Column("state", "status"),
    Column("step", "step", True),
    Column("seconds", "time", True),
)


def tables(
    comparison: Comparison,
    pairs: Sequence[Table] = (),
    *,
    everything: bool = False,
    only: Sequence[str] = (),
    monitor: str = MAIN,
) -> list[Table]:
    """Every table of a comparison.

    Args:
        comparison: the sections and the runs without figures.
        pairs: what comes after the sections, as `ctxenc.comparison.paired.tables` gives it.
        everything: every key and every metric, not only those that differ or matter most.
        only: keys and metrics that are shown, as `sections.compare` sorts by; empty for the usual.
        monitor: a metric that is shown in any case, and by which the best is named.
    """
    minor = {n for n, metric in METRICS.items() if metric.minor and n != monitor and not everything}
    found = []
    for number, section in enumerate(comparison.sections):
        key, table = f"section-{number}", _group_table if section.by else _run_table
        made = table(section, key, minor, everything or bool(only))
        made = replace(made, columns=_chosen(made.columns, only, section.split))
        found.append(replace(made, answer=sentence(section, monitor), rows=_with_best(made)))
    found += [replace(pair, columns=_chosen_metrics(pair.columns, only)) for pair in pairs]
    troubled = [*comparison.unranked, *(run for run in comparison.ranked if run.problem)]
    if troubled:
        columns = (Column("run", "run"), *HOW_IT_WENT, Column("problem", "reason"))
        rows = [_run(run, None) for run in troubled]
        found.append(Table("trouble", "Not finished, or not whole", (), columns, rows))
    return found


def _chosen(columns: Sequence[Column], only: Sequence[str], split: str) -> Sequence[Column]:
    """With only those to be seen that were asked for; all of them stay in CSV and JSON."""
    if not only:
        return columns
    keys = {key for name in only for key in (name, f"{split}.{name}", f"{split}.last.{name}")}
    keys |= {f"test.{name}" for name in only} | {columns[0].key}
    return [replace(column, hidden=column.key not in keys) for column in columns]


def _chosen_metrics(columns: Sequence[Column], only: Sequence[str]) -> Sequence[Column]:
    """Without the metrics that were not asked for, if any were."""
    wanted = METRICS.keys() & map(figures.metric_of, only) or METRICS.keys()
    return [
        replace(c, hidden=c.hidden or (bool(c.metric) and c.metric not in wanted)) for c in columns
    ]


def _with_best(table: Table) -> list[Row]:
    rows = [dict(row) for row in table.rows]
    for column in (column for column in table.columns if ".change." not in column.key):
        there = [row for row in rows if column.key in row]
        marked = with_best([row[column.key] for row in there], column.metric)
        for row, cell in zip(there, marked, strict=True):
            row[column.key] = cell
    return rows


def _run_table(section: Section, key: str, minor: set[str], everything: bool) -> Table:
    """The runs of a section: what differs in them, how they went, and their figures."""
    runs, against, split = section.runs, section.baseline, section.split
    found = [run.settings for run in runs]
    keys = settings.differing(found)
    if everything:
        keys = list(dict.fromkeys(k for s in found for k in s.values))
    columns = [Column("run", "run"), *(Column(k, k, setting=True) for k in keys)]
    trained: list[Column] = []
    for name in figures.names(run.last for run in runs):
        heading, best = figures.heading(name), everything or name == MAIN
        best_heading = f"best {METRICS[name].unit if name == MAIN else heading}"
        key_of = f"{split}.{{}}.{name}".format
        trained.append(Column(key_of("last"), heading, True, name in minor, metric=name))
        trained.append(Column(key_of("best"), best_heading, True, not best, metric=name))
        if name == MAIN and against is not None:
            trained.append(Column(_change(split), f"change {METRICS[name].unit}", True))
    columns += _of_training(split, [*trained, *HOW_IT_WENT])
    columns += [*evaluated_columns.columns(section, minor), *probed.columns(runs)]
    columns.append(Column("path", "path", hidden=True))
    notes = [*section.notes]
    fills = [
        f"{name.replace('_', ' ')} {figures.shown(MAIN, found[MAIN])} {METRICS[MAIN].unit}"
        + (f" (first {found['images']:g} images)" if "images" in found else "")
        for name, found in runs[0].baselines.items()
        if MAIN in found
    ]
    if fills:
        notes.append(f"Fills that need no training: {', '.join(fills)}.")
    if against is not None and len(runs) + section.hidden > 1:
        notes.append(f"Change: last {split} {METRICS[MAIN].title} against {against.label}.")
    notes += evaluated_columns.notes(section) + probed.notes(runs)
    if section.hidden:
        notes.append(f"{section.hidden} more not shown.")
    tests = [evaluated_columns.cells(section.tests.shown.get(run)) for run in runs]
    rows = [
        _run(run, against) | tested | probed.cells(run)
        for run, tested in zip(runs, tests, strict=True)
    ]
    return Table(key, section.title, notes, columns, rows)


def _of_training(split: str, columns: Iterable[Column]) -> list[Column]:
    return [replace(column, group=f"training, on {split} images") for column in columns]


def _change(split: str) -> str:
    return f"{split}.change.{MAIN}"


def _run(run: Record, baseline: Record | None) -> Row:
    row = {key: _cell(run, key, value) for key, value in run.values.items()}
    if baseline is not None and baseline.tested_on is not None:
        key = _change(baseline.tested_on.split)
        if baseline is run:
            row[key] = Cell("baseline")
        elif MAIN in run.last and MAIN in baseline.last:
            change = run.last[MAIN] - baseline.last[MAIN]
            row[key] = Cell(figures.signed(MAIN, change), change)
    return row | {"path": Cell.of(str(run.run.path)), "problem": Cell.of(run.problem)}


def _cell(run: Record, key: str, value: float | str) -> Cell:
    if isinstance(value, str):
        cell = replace(Cell.of(value), text=printable(run.shown(key, value)))
        number = settings.typed(key, value) if key in run.settings.values else value
        return cell if isinstance(number, str) else replace(cell, value=number)
    own = {"step": "{:,}".format, "seconds": figures.duration}
    shown = own.get(key, partial(figures.shown, figures.metric_of(key)))
    return Cell(shown(value), value)


def _group_table(section: Section, key: str, minor: set[str], everything: bool) -> Table:
    """The groups of a section: mean ± standard deviation over what their runs differ in."""
    runs, split = section.runs, section.split
    keys = groups.decisive(settings.differing([run.settings for run in runs]), section.by)
    columns = [Column("setting", "setting")]
    columns += [Column(k, k, hidden=True, setting=True) for k in keys]
    columns += [Column("n", "n", True), Column("values", "", hidden=True)]
    trained: list[Column] = []
    baseline = next((g for g in section.groups if section.baseline in g.runs), None)
    for name in figures.names(run.last for run in runs):
        hidden = name in minor
        mean = Column(f"{split}.last.{name}", figures.heading(name), True, hidden, metric=name)
        trained += [mean, Column(f"{mean.key}.sd", "", True, hidden=True)]
        if name == MAIN and baseline is not None and len(section.groups) > 1:
            change = Column(_change(split), f"change {METRICS[name].unit}", True, metric=name)
            trained += [change, *ends_of(change)]
    columns += _of_training(split, [*trained, HOW_IT_WENT[-1]])
    columns += [
        *evaluated_columns.columns(section, minor, ("sd",))[1:],
        Column("test.n", "", True, True),
        *probed.columns(runs, ("sd",))[1:],
    ]
    over = ", ".join(section.by)
    notes = [*section.notes]
    notes.append(f"Mean ± standard deviation over {over} of the finished runs' last figures.")
    if baseline is not None and len(section.groups) > 1:
        notes.append(
            f"Change: {split} {METRICS[MAIN].title} against {section.names[baseline]}, paired by "
            f"{over}, with a {bootstrap.LEVEL} % interval where there are {bootstrap.FEWEST_SEEDS} "
            "or more. ≈: zero is inside."
        )
    notes += evaluated_columns.notes(section) + probed.notes(runs)
    if repeated := sum(group.repeated for group in section.groups):
        notes.append(f"{repeated} more that repeat another's {over} are left out of the means.")
    if section.hidden:
        notes.append(f"{section.hidden} more not shown.")
    prefix, last = f"{split}.last.", [[r.last for r in g.draws.values()] for g in section.groups]
    tests = [[_tested(section, r) for r in g.draws.values()] for g in section.groups]
    of_probes = [[_probed(r) for r in g.draws.values()] for g in section.groups]
    means = _means(prefix, last), _means("test.", tests), _means("", of_probes)
    rows = [
        _group(group, section, keys, baseline) | trained | tested | learned
        for group, trained, tested, learned in zip(section.groups, *means, strict=True)
    ]
    return Table(key, section.title, notes, columns, rows)


def _group(group: Group, section: Section, keys: list[str], baseline: Group | None) -> Row:
    first, draws = group.runs[0], list(group.draws.values())
    count, of = len(draws), len(group.runs) - group.repeated
    values = first.settings.values
    row = {key: _cell(first, key, values[key]) for key in keys if key in values}
    row["setting"] = Cell.of(section.names[group])
    row["n"] = Cell(str(count) if count == of else f"{count} (of {of})", count)
    shown = ("/".join(map(first.shown, section.by, draw)) for draw in group.draws)
    row["values"] = Cell.of(", ".join(shown))
    if times := [run.seconds for run in draws if run.seconds is not None]:
        row["seconds"] = _cell(first, "seconds", statistics.fmean(times))
    row["test.n"] = Cell("", sum(run in section.tests.shown for run in draws))
    if baseline is not None:
        row |= _changed(group, baseline, section.split)
    return row


def _tested(section: Section, run: Record) -> figures.Figures:
    return section.tests.shown[run].figures if run in section.tests.shown else {}


def _probed(run: Record) -> figures.Figures:
    return {} if run.probed is None else run.probed.figures


def _changed(group: Group, baseline: Group, split: str) -> Row:
    """The difference to the baseline's figures, of the seeds that both have."""
    if group is baseline:
        return {_change(split): Cell("baseline")}
    pairs = [
        (r.last, baseline.draws[d].last) for d, r in group.draws.items() if d in baseline.draws
    ]
    found = [[a[MAIN] - b[MAIN]] for a, b in pairs if MAIN in a and MAIN in b]
    if not found:
        return {}
    return difference_row(_change(split), MAIN, bootstrap.over_seeds(np.array(found)))


def _means(prefix: str, found: Sequence[Sequence[figures.Figures]]) -> list[Row]:
    """For each group, of its runs' figures, the mean of each metric; not all runs may have it."""
    rows: list[Row] = [{} for _ in found]
    for name in figures.names(of_run for group in found for of_run in group):
        values = [[of_run[name] for of_run in group if name in of_run] for group in found]
        decimals = shared_decimals(name, values)
        for row, group, known in zip(rows, found, values, strict=True):
            cell = spread(name, known, decimals)
            count = f" ({len(known)} of {len(group)})" if 0 < len(known) < len(group) else ""
            row[f"{prefix}{name}"] = replace(cell, text=cell.text + count)
            sd = deviation(known) if len(known) > 1 else None
            row[f"{prefix}{name}.sd"] = Cell("", sd)
    return rows
