"""How a sweep's jobs ended: the tables of ``ctxenc.compare``, and the commands to go on with."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ctxenc.comparison import comparison_table, grouping, sections
from ctxenc.comparison.records import Record
from ctxenc.comparison.tables import Cell, Table, render
from ctxenc.metrics.registry import METRICS

SEED = "seed"  # means are taken over runs that differ in nothing else


def closing(
    folder: Path, jobs: Sequence[Record], planned: int, monitor: str, again: Sequence[str] = ()
) -> str:
    """The closing tables of a sweep and the commands to go on with, as text.

    Args:
        folder: of the sweep.
        jobs: those that have begun.
        planned: how many there are to be.
        monitor: the metric by which they are ranked, among those that were tested on the same
            images and masks.
        again: what else a command that resumes the sweep must have.
    """
    finished, failed = (sum(job.state == s for job in jobs) for s in ("finished", "failed"))
    lines = [f"{finished} of {planned} jobs finished" + (f", {failed} failed" * bool(failed))]
    if finished < planned:
        resume = shlex.join([f"resume={folder}", *again])
        lines.append(f"to go on with the others: python -m ctxenc.train {resume}")
    if jobs:
        several = len({job.settings.values.get(SEED) for job in jobs}) > 1
        by_seed = f" --group-by {SEED}" if several else ""
        path = shlex.quote(str(folder))
        lines.append(f"to compare them:          python -m ctxenc.compare {path}{by_seed}")
        lines = [render(_tables(jobs, monitor), "table"), "", *lines]
    return "\n".join(lines)


def _tables(jobs: Sequence[Record], monitor: str) -> list[Table]:
    compared = sections.compare(jobs, sort=monitor)
    tables = comparison_table.tables(compared)
    if any(len(g.runs) > 1 for s in compared.sections for g in grouping.grouped(s.runs, SEED)):
        means = comparison_table.tables(compared, group_by=SEED)
        count = len(compared.sections)
        tables[count:count] = means[:count]
    return [_by(monitor, table) for table in tables]


def _by(monitor: str, table: Table) -> Table:
    """The table with the monitored metric shown, and best first by it."""
    keys = [column.key for column in table.columns]
    if monitor not in keys:
        return table

    def badness(row: tuple[Cell, ...]) -> float:
        value = row[keys.index(monitor)].value
        return METRICS[monitor].badness(value) if isinstance(value, float) else math.inf

    columns = tuple(replace(c, hidden=c.hidden and c.key != monitor) for c in table.columns)
    return replace(table, columns=columns, rows=tuple(sorted(table.rows, key=badness)))
