"""Probes of runs as a comparison reads them: how well classes are told by an encoder's features.

A run may have several. That of its own images stands in a table, at all stages, of the checkpoint
`best`, whatever its figures.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ctxenc.comparison import figures
from ctxenc.comparison.figures import Figures
from ctxenc.comparison.tables import Cell, Column, Row
from ctxenc.errors import UserError
from ctxenc.probing.folder import Probe
from ctxenc.run_folder.files import is_number

if TYPE_CHECKING:
    from ctxenc.comparison.records import Record

log = logging.getLogger(__name__)

PREFIX = "probe."  # of the metrics' names
GROUP = "probe, on test images"  # a heading


@dataclass(frozen=True)
class Probed:
    """One probe of a run: its `figures` compare with those of probes with the same `on`.

    `on` are the fingerprints of the training and test images, the cells that maps are averaged
    over, the stages that were asked for, and up to how many features these were joined, too.
    `checkpoint` names it as `Record.called`.
    """

    on: tuple[str, ...]
    images: int | None
    checkpoint: str
    figures: Figures


def read(record: "Record") -> Probed | None:
    """The probe of a run that stands in tables; None where there is none that can be read."""
    found = []
    for probe in Probe.all_of(record.run):
        try:
            found.append(_probed(record, probe))
        except UserError as error:
            log.warning("%s", error)
    own = record.dataset.get("train_fingerprint")

    def preference(probed: Probed) -> tuple[bool, bool, bool]:
        return probed.on[0] != own, probed.checkpoint != "best", probed.on[3] != "all"

    return min(found, key=preference, default=None)


def _probed(record: "Record", probe: Probe) -> Probed:
    metrics = probe.metrics
    dataset, options, saved, rows = (
        metrics.get(key) or {} for key in ("dataset", "options", "checkpoint", "rows")
    )
    images = map(dataset.get, ("train_fingerprint", "test_fingerprint"))
    on = tuple(map(str, (*images, *map(options.get, ("pool", "stages", "joined")))))
    means = {
        f"{PREFIX}{method}": float(figure["mean"])
        for method, figure in (rows.get("model") or {}).items()
        if figure and is_number(figure.get("mean"))
    }
    return Probed(on, metrics.get("images"), record.called(saved), means)


def alike(records: Sequence["Record"]) -> list["Record"]:
    """The runs, of whose probes only those keep their figures that are of what most are of."""
    on = Counter(run.probed.on for run in records if run.probed).most_common(1)
    return [
        replace(run, probed=replace(run.probed, figures={}))
        if run.probed is not None and run.probed.on != on[0][0]
        else run
        for run in records
    ]


def columns(runs: Sequence["Record"], beside: Sequence[str] = ()) -> list[Column]:
    """Those of the probes' figures, where any run has some; `beside` each, hidden ones."""
    there = [run.probed for run in runs if run.probed and run.probed.figures]
    alike = len({probe.checkpoint for probe in there}) < 2
    made = [Column("probe.checkpoint", "checkpoint", hidden=alike, group=GROUP)] if there else []
    for name in figures.names(probe.figures for probe in there):
        made.append(Column(name, figures.heading(name), True, metric=name, group=GROUP))
        made += [Column(f"{name}.{end}", "", True, hidden=True, group=GROUP) for end in beside]
    return made


def cells(run: "Record") -> Row:
    """What a run's table has of its probe beside the figures."""
    if run.probed is None or not run.probed.figures:
        return {}
    return {"probe.checkpoint": Cell.of(run.probed.checkpoint)}


def notes(runs: Sequence["Record"]) -> list[str]:
    """Of what the probes' figures are, and which runs have none."""
    there = [run.probed for run in runs if run.probed is not None and run.probed.figures]
    if not there:
        return []
    *_, pool, stages, _ = there[0].on
    kinds = ", ".join(dict.fromkeys(probe.checkpoint for probe in there))
    count = "?" if (images := there[0].images) is None else f"{images:,}"
    what = f"{count} test images, {stages} stages pooled to {pool} × {pool}"
    lines = [f"Probe: {what}, checkpoint {kinds}."]
    unlike = sum(run.probed is not None for run in runs) - len(there)
    blanks = {
        "without a probe": len(runs) - len(there) - unlike,
        "probed on other images or stages than the rest": unlike,
    }
    reasons = [f"{count} {reason}" for reason, count in blanks.items() if count]
    return lines + ([f"No probe figures: {', '.join(reasons)}."] if reasons else [])
