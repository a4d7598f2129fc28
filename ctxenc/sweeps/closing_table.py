"""How a sweep's jobs ended: the best first, means over seeds, and what to do next."""

import shlex
from collections.abc import Sequence

from ctxenc.comparison import figures, selection
from ctxenc.comparison.grouping import Group, grouped
from ctxenc.comparison.records import Record
from ctxenc.comparison.tables import Cell, Column, Table, render
from ctxenc.sweeps.folder import Sweep

FIGURES = ("psnr_db", "ssim", "l1_percent")
REPLICATE = "seed"  # runs that differ in nothing else are put together


def closing(sweep: Sweep, jobs: Sequence[Record], objective: str) -> str:
    """The closing tables of a sweep and the commands to go on with, as text.

    Jobs are ranked among those that were tested on the same images and masks only; the others,
    and those that did not finish, are in tables of their own.
    """
    shown = list(dict.fromkeys([objective, *FIGURES]))
    tables = []
    for part in _parts(jobs):
        ranked = selection.ordered(part, objective)
        tables.append(_table(ranked, shown))
        if any(len(group.runs) > 1 for group in grouped(ranked, REPLICATE)):
            tables.append(_over_seeds(ranked, shown, objective))
    troubled = [job for job in jobs if job.state != "finished"]
    if troubled:
        tables.append(_troubled(troubled))
    return "\n".join([render(tables, "table"), "", *_next(sweep, jobs)])


def _parts(jobs: Sequence[Record]) -> list[list[Record]]:
    parts: dict[tuple[str, str] | None, list[Record]] = {}
    for job in jobs:
        if job.state == "finished":
            parts.setdefault(job.tested_on, []).append(job)
    return list(parts.values())


def _table(jobs: Sequence[Record], shown: Sequence[str]) -> Table:
    columns = [Column("run", "run"), *_columns(shown), *_work_columns()]
    rows = tuple(
        (Cell.of(job.label), *(_figure(job.last.get(m), m) for m in shown), *_work(job))
        for job in jobs
    )
    return Table("jobs", "Best first, at the last test", (), tuple(columns), rows)


def _over_seeds(jobs: Sequence[Record], shown: Sequence[str], objective: str) -> Table:
    groups = sorted(
        grouped(jobs, REPLICATE), key=lambda group: figures.badness(group.mean, objective)
    )
    columns = [Column("runs", "same but for the seed"), Column("seeds", "seeds", number=True)]
    rows = tuple(
        (
            Cell.of(_name(group, jobs)),
            Cell(str(len(group.runs))),
            *(_spread(group, metric) for metric in shown),
        )
        for group in groups
    )
    title = "Mean ± standard deviation over seeds"
    return Table("seeds", title, (), (*columns, *_columns(shown)), rows)


def _troubled(jobs: Sequence[Record]) -> Table:
    columns = (Column("run", "run"), Column("status", "status"), *_work_columns())
    rows = tuple(
        (Cell.of(job.label), Cell(job.state), *_work(job), Cell.of(job.problem)) for job in jobs
    )
    return Table("troubled", "Not finished", (), (*columns, Column("why", "why")), rows)


def _next(sweep: Sweep, jobs: Sequence[Record]) -> list[str]:
    finished = sum(job.state == "finished" for job in jobs)
    failed = sum(job.state == "failed" for job in jobs)
    folder = shlex.quote(str(sweep.path))
    lines = [f"{finished} of {sweep.planned} jobs finished" + (f", {failed} failed" * bool(failed))]
    if finished < sweep.planned:
        lines.append(f"to go on with the others: python -m ctxenc.train resume={folder}")
    if jobs:
        several = len({job.settings.values.get(REPLICATE) for job in jobs}) > 1
        by_seed = f" --group-by {REPLICATE}" if several else ""
        lines.append(f"to compare them:          python -m ctxenc.compare {folder}{by_seed}")
    return lines


def _name(group: Group, jobs: Sequence[Record]) -> str:
    """The overrides that tell a group from others."""
    common = set.intersection(*(set(job.overrides or ()) for job in jobs))
    own = [o for o in group.runs[0].overrides or () if o not in common]
    return ",".join(o for o in own if not o.startswith(f"{REPLICATE}=")) or "all"


def _columns(shown: Sequence[str]) -> list[Column]:
    return [Column(metric, figures.heading(metric), number=True) for metric in shown]


def _work_columns() -> list[Column]:
    return [Column("step", "step", number=True), Column("seconds", "time", number=True)]


def _work(job: Record) -> list[Cell]:
    seconds = "" if job.seconds is None else f"{job.seconds:.0f} s"
    return [Cell("" if job.step is None else str(job.step)), Cell(seconds)]


def _figure(value: float | None, metric: str) -> Cell:
    return Cell("" if value is None else figures.shown(metric, value), value)


def _spread(group: Group, metric: str) -> Cell:
    if (mean := group.mean.get(metric)) is None:
        return Cell()
    return Cell(figures.spread(metric, mean, group.spread[metric]), mean)
