"""A comparison as tables: what differs in the configurations, what differs in the results."""

from collections.abc import Sequence

from ctxenc.comparison import figures, grouping, settings
from ctxenc.comparison.figures import MAIN, Figures
from ctxenc.comparison.grouping import Group, inside
from ctxenc.comparison.paired import Pair
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import Cell, Column, Row, Table
from ctxenc.metrics.bootstrap import LEVEL
from ctxenc.metrics.registry import METRICS

SAID_BY_PSNR = ("l2_percent", "psnr_pooled_db")  # the squared error too: only with every metric
HOW_IT_WENT = (
    Column("state", "status"),
    Column("step", "step", True),
    Column("seconds", "time", True),
)


def tables(
    comparison: Comparison,
    pairs: Sequence[Pair] = (),
    *,
    group_by: str | None = None,
    top: int | None = None,
    everything: bool = False,
) -> list[Table]:
    """Every table of a comparison.

    Args:
        comparison: the sections and the runs without figures.
        pairs: paired differences, if any.
        group_by: a key of the configuration to take means over, instead of a row a run.
        top: how many groups of a section are kept; None for all.
        everything: every key and every metric, not only those that differ or matter most.
    """
    found = []
    for number, section in enumerate(comparison.sections):
        if group_by is None:
            found.append(_section_table(section, f"section-{number}", everything))
        else:
            found.append(_group_table(section, f"section-{number}", group_by, top))
    found += _pair_tables(pairs, everything)
    if troubled := comparison.troubled:
        columns = (Column("run", "run"), *HOW_IT_WENT, Column("problem", "reason"))
        rows = [_run(run, None) for run in troubled]
        found.append(Table.of("trouble", "Not finished, or not whole", (), columns, rows))
    return found


def _section_table(section: Section, key: str, everything: bool) -> Table:
    """The runs of a section: what differs in them, how they went, and their test metrics."""
    runs, against = section.runs, section.baseline
    found = [run.settings for run in runs]
    every = list(dict.fromkeys(k for s in found for k in s.values))
    columns = [
        Column("run", "run"),
        *(Column(k, k, setting=True) for k in (every if everything else settings.differing(found))),
        *_metric_columns([run.last for run in runs], against is not None, everything),
        *HOW_IT_WENT,
        Column("path", "path", hidden=True),
    ]
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
    rows = [_run(run, against) for run in runs]
    return Table.of(key, section.title, notes, columns, rows)


def _metric_columns(found: Sequence[Figures], changes: bool, everything: bool) -> list[Column]:
    columns = []
    for name in figures.names(found):
        heading, main = figures.heading(name), name == MAIN
        minor = not everything and name in SAID_BY_PSNR
        best = not everything and not main
        columns.append(Column(name, heading, True, minor, metric=name))
        columns.append(Column(f"best.{name}", f"best {heading}", True, best, metric=name))
        if main and changes:
            columns.append(Column(f"change.{name}", f"change {METRICS[name].unit}", True))
    return columns


def _run(run: Record, baseline: Record | None) -> Row:
    row = {name: _figure(name, value) for name, value in run.last.items()}
    row |= {f"best.{name}": _figure(name, value) for name, value in run.best.items()}
    if baseline is run:
        row[f"change.{MAIN}"] = Cell("baseline")
    elif baseline is not None and MAIN in run.last and MAIN in baseline.last:
        difference = run.last[MAIN] - baseline.last[MAIN]
        row[f"change.{MAIN}"] = Cell(figures.signed(MAIN, difference), difference)
    row |= {key: Cell.of(value) for key, value in run.settings.values.items()}
    if run.step is not None:
        row["step"] = Cell(f"{run.step:,}", run.step)
    if run.seconds is not None:
        row["seconds"] = Cell(duration(run.seconds), run.seconds)
    own = {"run": run.label, "state": run.state, "path": str(run.run.path), "problem": run.problem}
    return row | {key: Cell.of(value) for key, value in own.items()}


def _figure(name: str, value: float) -> Cell:
    return Cell(figures.shown(name, value), value)


def _group_table(section: Section, key: str, by: str, top: int | None) -> Table:
    """The runs of a section put together: mean ± standard deviation over the key `by`."""
    groups = grouping.grouped(section.runs, by)[:top]
    differing = settings.differing([run.settings for run in section.runs])
    keys = [k for k in differing if not inside(k, by) and grouping.changes_results(k)]
    columns = [*(Column(k, k) for k in keys), Column("n", "n", True), Column("values", by)]
    for name in figures.names(run.last for run in section.runs):
        heading = figures.heading(name)
        columns.append(Column(name, heading, True, name in SAID_BY_PSNR))
        columns.append(Column(f"{name}.sd", f"{heading} sd", True, hidden=True))
    notes = [section.note] if section.note else []
    notes.append(f"Mean ± standard deviation over {by}, at the last test of the finished runs.")
    return Table.of(key, section.title, notes, columns, map(_group, groups))


def _group(group: Group) -> Row:
    count, finished = len(group.runs), len(group.runs) - group.others
    row = {key: Cell.of(value) for key, value in group.runs[0].settings.values.items()}
    row["n"] = Cell(f"{finished} (of {count})" if group.others else str(count), finished)
    row["values"] = Cell.of(", ".join(group.values))
    for name, mean in group.mean.items():
        row[name] = Cell(figures.spread(name, mean, group.spread[name]), mean)
        row[f"{name}.sd"] = Cell("", group.spread[name])
    return row


def _pair_tables(pairs: Sequence[Pair], everything: bool) -> list[Table]:
    """Paired differences of evaluations, image by image: a table for each set of images and masks.

    Each has one run that is subtracted from the others.
    """
    sets: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        sets.setdefault(pair.tested_on, []).append(pair)
    return [_pair_table(f"paired-{i}", p, everything) for i, p in enumerate(sets.values())]


def _pair_table(key: str, pairs: Sequence[Pair], everything: bool) -> Table:
    names = {pair.evaluation for pair in pairs}
    columns = [Column("run", "run"), Column("evaluation", "evaluation", hidden=len(names) == 1)]
    columns += [Column("baseline", "minus", hidden=True), Column("images", "images", True, True)]
    for name in figures.names(pair.differences for pair in pairs):
        minor = not everything and name in SAID_BY_PSNR
        columns.append(Column(name, figures.heading(name), True, minor, metric=name))
        columns.append(Column(f"{name}.low", "", True, hidden=True))
        columns.append(Column(f"{name}.high", "", True, hidden=True))
    title = f"Paired differences from {pairs[0].baseline}"
    note = (
        f"Evaluation {', '.join(sorted(names))}: mean difference over the same {pairs[0].images} "
        f"test images and masks, with a {LEVEL} % bootstrap interval over the images; what another "
        "seed would change is not in it. ≈: zero is inside."
    )
    return Table.of(key, title, [note], columns, map(_pair, pairs))


def _pair(pair: Pair) -> Row:
    row: Row = {
        "run": Cell.of(pair.run),
        "evaluation": Cell.of(pair.evaluation),
        "baseline": Cell.of(pair.baseline),
        "images": Cell(str(pair.images), pair.images),
    }
    for name, found in pair.differences.items():
        low, mean, high = (figures.signed(name, v) for v in (found.low, found.mean, found.high))
        around = "" if found.certain else "≈ "
        row[name] = Cell(f"{around}{mean} [{low}, {high}]", found.mean, (found.low, found.high))
        row[f"{name}.low"], row[f"{name}.high"] = Cell("", found.low), Cell("", found.high)
    return row


def duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"
