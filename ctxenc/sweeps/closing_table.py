"""How a sweep's jobs ended: the tables of ``ctxenc.compare``, and the commands to go on with."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ctxenc.comparison import comparison_table, sections
from ctxenc.comparison.records import Record
from ctxenc.comparison.tables import Table, render

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
    tables = comparison_table.tables(compared, monitor=monitor)
    groups = [g for s in compared.sections for g in comparison_table.grouped(s.runs, SEED)]
    if any(len(group) > 1 for group in groups):
        means = comparison_table.tables(compared, group_by=SEED, monitor=monitor)
        count = len(compared.sections)
        tables[count:count] = means[:count]
    return tables
