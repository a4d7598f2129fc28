"""A comparison as tables: what differs in the configurations, what differs in the results."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from ctxenc.comparison import figures, settings
from ctxenc.comparison.evaluated import Evaluated
from ctxenc.comparison.records import Record, natural
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import Cell, Column, Row, Table
from ctxenc.errors import printable
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
    columns += [*_test_columns(section, minor), Column("path", "path", hidden=True)]
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
    notes += _test_notes(section)
    if section.hidden:
        notes.append(f"{section.hidden} more not shown.")
    rows = [_run(run, against) | _test_cells(section.tests.shown.get(run)) for run in runs]
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
            difference = run.last[MAIN] - baseline.last[MAIN]
            row[key] = Cell(figures.signed(MAIN, difference), difference)
    return row | {"path": Cell.of(str(run.run.path)), "problem": Cell.of(run.problem)}


def _cell(run: Record, key: str, value: float | str) -> Cell:
    if isinstance(value, str):
        return replace(Cell.of(value), text=printable(run.shown(key, value)))
    own = {"step": "{:,}".format, "seconds": _duration}
    shown = own.get(key, partial(figures.shown, figures.metric_of(key)))
    return Cell(shown(value), value)


def _group_table(
    section: Section, key: str, minor: set[str], by: str, top: int | None, monitor: str
) -> Table:
    """The runs of a section put together: mean ± standard deviation over the key `by`."""
    keys = _decisive(settings.differing([run.settings for run in section.runs]), by)
    columns = [*(Column(k, k) for k in keys), Column("n", "n", True), Column("values", by)]
    for name in figures.names(run.last for run in section.runs):
        mean = Column(f"{section.split}.last.{name}", figures.heading(name), True, name in minor)
        deviation = Column(f"{mean.key}.sd", "", True, hidden=True)
        columns += _of_training(section.split, [mean, deviation])
    columns += [*_test_columns(section, minor, ("sd",))[1:], Column("test.n", "", True, True)]
    notes = [*section.notes]
    figures_of = f"the finished runs' last {section.split} figures"
    notes.append(f"Mean ± standard deviation over {by} of {figures_of}.")
    notes += _test_notes(section)
    groups = [_group(members, by, section) for members in grouped(section.runs, by)]
    groups.sort(key=lambda group: figures.badness(group[0], monitor))
    return Table(key, section.title, notes, columns, [row for _, row in groups[:top]])


def _group(members: Sequence[Record], by: str, section: Section) -> tuple[figures.Figures, Row]:
    """(the mean of each metric over the finished runs, the row)."""
    finished = [run for run in members if run.state == "finished"]
    count, of = len(finished), len(members)
    row = {key: _cell(members[0], key, v) for key, v in members[0].settings.values.items()}
    row["n"] = Cell(str(count) if count == of else f"{count} (of {of})", count)
    of_each = (run.shown(by, run.settings.values.get(by, "")) for run in finished)
    row["values"] = Cell.of(", ".join(of_each))
    tests = [t.figures if (t := section.tests.shown.get(run)) else {} for run in finished]
    row["test.n"] = Cell("", sum(map(bool, tests)))
    means, of_last = _means(f"{section.split}.last", [run.last for run in finished])
    return means, row | of_last | _means("test", tests)[1]


def _means(prefix: str, found: Sequence[figures.Figures]) -> tuple[dict[str, float], Row]:
    """(the mean of each metric, its cells, which say how many runs have it where not all do)."""
    means: dict[str, float] = {}
    row: Row = {}
    for name in figures.names(found):
        values = [of_run[name] for of_run in found if name in of_run]
        means[name] = statistics.fmean(values)
        text, deviation = figures.shown(name, means[name]), None
        if len(values) > 1:
            deviation = statistics.stdev(values)
            text += f" ± {figures.shown(name, deviation)}"
        text += f" ({len(values)} of {len(found)})" if len(values) < len(found) else ""
        row[f"{prefix}.{name}"] = Cell(text, means[name])
        row[f"{prefix}.{name}.sd"] = Cell("", deviation)
    return means, row


def _test_columns(
    section: Section, minor: set[str], beside: Sequence[str] = ("low", "high")
) -> list[Column]:
    """Those of the test split, where any run has figures of it; `beside` each, hidden ones."""
    found = section.evaluated
    alike = len({test.checkpoint for test in found}) < 2
    columns = [Column("test.checkpoint", "checkpoint", hidden=alike)] if found else []
    for name in figures.names(test.figures for test in found):
        title = f"test {figures.heading(name)}"
        columns.append(Column(f"test.{name}", title, True, name in minor))
        columns += [Column(f"test.{name}.{end}", "", True, hidden=True) for end in beside]
    return [replace(column, group="evaluation, on test images") for column in columns]


def _test_cells(test: Evaluated | None) -> Row:
    """A run's test figures, with the intervals that `ctxenc.evaluate` shows too."""
    if test is None:
        return {}
    row: Row = {"test.checkpoint": Cell.of(test.checkpoint)}
    for name, value in test.figures.items():
        text = figures.shown(name, value)
        if name in test.intervals:
            low, high = test.intervals[name]
            row |= {f"test.{name}.low": Cell("", low), f"test.{name}.high": Cell("", high)}
            if name in METRICS and METRICS[name].interval:
                text += f" [{figures.shown(name, low)}, {figures.shown(name, high)}]"
        row[f"test.{name}"] = Cell(text, value)
    return row


def _test_notes(section: Section) -> list[str]:
    """Of what the test figures are, and which runs have none."""
    if not (found := section.evaluated):
        return []
    kinds = ", ".join(dict.fromkeys(test.checkpoint for test in found))
    count = "?" if (images := found[0].images) is None else f"{images:,}"
    notes = [
        f"Test: evaluations on the runs' own {count} test images and masks, checkpoint {kinds}."
    ]
    if section.tests.several:
        notes.append("Of a run's several, that of best counts, else of latest, never the better.")
    elsewhere = len(section.tests.elsewhere.intersection(section.runs))
    blanks = {
        "without such an evaluation": len(section.runs) - len(found) - elsewhere,
        "of other test images or masks than the rest": elsewhere,
    }
    reasons = [f"{count} {reason}" for reason, count in blanks.items() if count]
    return notes + ([f"No test figures: {', '.join(reasons)}."] if reasons else [])


def _duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"
