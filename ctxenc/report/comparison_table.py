"""A comparison as tables: what differs in the configurations, what differs in the results."""

from collections.abc import Sequence

from ctxenc.comparison import grouping, settings
from ctxenc.comparison.pairing import Pair
from ctxenc.comparison.records import METRICS, Record
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.selection import value
from ctxenc.report.tables import Cell, Column, Table

SHOWN = ("psnr_db", "best.psnr_db", "change.psnr_db", "ssim", "l1_percent")
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
            found.append(section_table(section, f"section-{number}", everything))
        else:
            found.append(group_table(section, f"section-{number}", group_by, top))
    found += pair_tables(pairs)
    if comparison.troubled:
        found.append(trouble_table(comparison.troubled))
    return found


def section_table(section: Section, key: str, everything: bool = False) -> Table:
    """The runs of a section: what differs in them, how they went, and their test metrics."""
    found = [run.settings for run in section.runs]
    keys = list(dict.fromkeys(k for s in found for k in s.values))
    if not everything:
        keys = settings.differing(found)
    columns = [
        Column("run", "run"),
        *(Column(k, k, setting=True) for k in keys),
        *_metric_columns(section.baseline is not None, everything),
        *HOW_IT_WENT,
        Column("path", "path", hidden=True),
    ]
    against = section.baseline
    rows = tuple(tuple(_cell(c.key, run, against) for c in columns) for run in section.runs)
    notes = [section.note] if section.note else []
    if fills := section.runs[0].baselines:
        unit = METRICS["psnr_db"].unit
        told = (f"{n.replace('_', ' ')} {v['psnr_db']:.2f} {unit}" for n, v in fills.items())
        notes.append(f"Fills that need no training: {', '.join(told)}.")
    if against is not None and len(section.runs) + section.hidden > 1:
        notes.append(f"Change: PSNR at the last test against {against.label}.")
    if section.hidden:
        notes.append(f"{section.hidden} more not shown.")
    labels = tuple(run.label for run in section.runs)
    return Table(key, section.title, tuple(notes), tuple(columns), rows, labels)


def group_table(section: Section, key: str, by: str, top: int | None = None) -> Table:
    """The runs of a section put together: mean ± standard deviation over the key `by`."""
    groups = grouping.grouped(section.runs, by)[:top]
    inside = (by, *(k for k in section.runs[0].settings.values if k.startswith(f"{by}.")))
    differing = settings.differing([run.settings for run in section.runs])
    keys = [k for k in differing if k not in (*inside, *settings.IDLE)]
    columns = [*(Column(k, k) for k in keys), Column("n", "n", True), Column("values", by)]
    for name, metric in METRICS.items():
        hidden = name not in SHOWN
        columns.append(Column(name, metric.heading, True, hidden))
        columns.append(Column(f"{name}.sd", f"{metric.heading} sd", True, hidden=True))
    rows = tuple(tuple(_group_cell(c.key, group) for c in columns) for group in groups)
    notes = [section.note] if section.note else []
    notes.append(f"Mean ± standard deviation over {by}, at the last test of the finished runs.")
    return Table(key, section.title, tuple(notes), tuple(columns), rows)


def trouble_table(runs: Sequence[Record]) -> Table:
    """The runs that did not finish or cannot be ranked, and why."""
    columns = (Column("run", "run"), *HOW_IT_WENT, Column("problem", "reason"))
    rows = tuple(tuple(_cell(c.key, run, None) for c in columns) for run in runs)
    labels = tuple(run.label for run in runs)
    return Table("trouble", "Not finished, or not ranked", (), columns, rows, labels)


def pair_tables(pairs: Sequence[Pair]) -> list[Table]:
    """Paired differences of evaluations, image by image: a table for each set of images and masks.

    Each has one run that is subtracted from the others.
    """
    sets: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        sets.setdefault(pair.tested_on, []).append(pair)
    return [_pair_table(f"paired-{i}", same) for i, same in enumerate(sets.values())]


def _pair_table(key: str, pairs: Sequence[Pair]) -> Table:
    names = {pair.evaluation for pair in pairs}
    columns = [Column("run", "run"), Column("evaluation", "evaluation", hidden=len(names) == 1)]
    columns += [Column("baseline", "minus", hidden=True), Column("images", "images", True, True)]
    for name, metric in METRICS.items():
        if name in pairs[0].differences:
            columns.append(Column(name, metric.heading, True))
            columns.append(Column(f"{name}.low", "", True, hidden=True))
            columns.append(Column(f"{name}.high", "", True, hidden=True))
    rows = tuple(tuple(_pair_cell(c.key, pair) for c in columns) for pair in pairs)
    title = f"Paired differences from {pairs[0].baseline}"
    note = (
        f"Evaluation {', '.join(sorted(names))}: mean difference over the same {pairs[0].images} "
        "test images and masks, with a 95 % bootstrap interval over the images; what another seed "
        "would change is not in it. ≈: zero is inside."
    )
    return Table(key, title, (note,), tuple(columns), rows)


def _metric_columns(changes: bool, everything: bool) -> list[Column]:
    columns = []
    for name, metric in METRICS.items():
        columns.append(Column(name, metric.heading, True))
        columns.append(Column(f"best.{name}", f"best {metric.heading}", True))
        if name == "psnr_db" and changes:
            columns.append(Column(f"change.{name}", f"change {metric.unit}", True))
    return [
        Column(c.key, c.title, c.number, hidden=not everything and c.key not in SHOWN)
        for c in columns
    ]


def _cell(key: str, run: Record, baseline: Record | None) -> Cell:
    if key == "path":
        return Cell.of(str(run.run.path))
    if key == "problem":
        return Cell.of(run.problem or "tested on unknown images")
    if key == "state":
        return Cell(run.state, run.state)
    if key == "step":
        return Cell("" if run.step is None else f"{run.step:,}", run.step)
    if key == "seconds":
        return Cell("" if run.seconds is None else duration(run.seconds), run.seconds)
    kind, _, name = key.rpartition(".")
    if name in METRICS and kind in ("", "best", "change"):
        return _metric_cell(kind, name, run, baseline)
    found = value(key, run)
    return Cell.of(None if found is None else str(found))


def _metric_cell(kind: str, name: str, run: Record, baseline: Record | None) -> Cell:
    decimals = METRICS[name].decimals
    if kind == "change":
        if baseline is None or baseline is run:
            return Cell("baseline" if baseline else "", None)
        difference = run.last[name] - baseline.last[name]
        return Cell(signed(difference, decimals), difference)
    number = (run.best if kind == "best" else run.last)[name]
    return Cell(f"{number:.{decimals}f}", number)


def _group_cell(key: str, group: grouping.Group) -> Cell:
    if key == "n":
        n = len(group.runs) - group.others
        return Cell(f"{n} (of {len(group.runs)})" if group.others else str(n), n)
    if key == "values":
        return Cell.of(", ".join(group.values))
    name, _, kind = key.partition(".")
    if name in METRICS and kind in ("", "sd"):
        mean, sd = group.mean.get(name), group.spread[name]
        decimals = METRICS[name].decimals
        if kind or mean is None:
            return Cell("", sd if kind else mean)
        return Cell(f"{mean:.{decimals}f}" + ("" if sd is None else f" ± {sd:.{decimals}f}"), mean)
    return Cell.of(group.runs[0].settings.values.get(key))


def _pair_cell(key: str, pair: Pair) -> Cell:
    if key == "images":
        return Cell(str(pair.images), pair.images)
    name, _, bound = key.partition(".")
    if name not in pair.differences:
        return Cell.of(getattr(pair, key))
    difference = pair.differences[name]
    if bound:
        return Cell("", getattr(difference, bound))
    low, mean, high = (
        signed(v, METRICS[name].decimals)
        for v in (difference.low, difference.mean, difference.high)
    )
    around = "" if difference.certain else "≈ "
    interval = difference.low, difference.high
    return Cell(f"{around}{mean} [{low}, {high}]", difference.mean, interval)


def signed(number: float, decimals: int) -> str:
    """A difference with its sign, a true minus, and none before zero."""
    text = f"{number:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"
