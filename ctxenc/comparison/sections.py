"""Runs side by side: which can be ranked together, in which order, and what tells them apart.

Figures compare only where the test masks and the test images are the same, so runs are first split
by those, and nothing is ever ranked or subtracted across the parts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctxenc.comparison import discovery, figures, selection, settings
from ctxenc.comparison.records import Record, read
from ctxenc.config import schema
from ctxenc.errors import UserError


@dataclass(frozen=True)
class Section:
    """Runs whose figures compare, in order; `baseline` is what changes are against.

    `title` says what they were tested on, `note` why they stand apart from the first section.
    `hidden` counts those that ``top`` cut off.
    """

    title: str
    note: str
    runs: tuple[Record, ...]
    baseline: Record | None
    hidden: int = 0


@dataclass(frozen=True)
class Comparison:
    """Everything that was found: sections of ranked runs, and the `unranked`."""

    sections: tuple[Section, ...]
    unranked: tuple[Record, ...]
    found: int

    @property
    def ranked(self) -> tuple[Record, ...]:
        """The runs of all sections."""
        return tuple(run for section in self.sections for run in section.runs)

    @property
    def troubled(self) -> tuple[Record, ...]:
        """The runs with a `problem`: unfinished, damaged, or lacking a file."""
        return (*self.unranked, *(run for run in self.ranked if run.problem))

    @property
    def baselines(self) -> tuple[Record, ...]:
        """What changes are against, in the order of the sections."""
        return tuple(dict.fromkeys(s.baseline for s in self.sections if s.baseline is not None))


def load(folders: Iterable[str | Path]) -> list[Record]:
    """The record of every run at or below the folders.

    Raises:
        UserError: no such folder, or no run there.
    """
    paths = discovery.find(folders)
    return [read(p, label) for p, label in zip(paths, discovery.labels(paths), strict=True)]


def compare(
    records: Sequence[Record],
    *,
    sort: str = figures.MAIN,
    top: int | None = None,
    filters: Sequence[str] = (),
    baseline: str | None = None,
) -> Comparison:
    """Sort the runs into sections that compare.

    Args:
        records: as `load` gives them.
        sort: a metric of the last test (best first), ``best.`` and a metric, ``run``, ``state``,
            ``step``, ``seconds`` or a key of the configuration; a leading minus reverses.
        top: how many runs of each section are kept; None for all.
        filters: ``KEY=VALUE`` that all hold for the runs that are kept.
        baseline: label, folder name or path of the run that changes are against; None for the
            first run of each section.

    Raises:
        UserError: an unknown key, filters that leave nothing, or no such baseline.
    """
    selection.check_key(sort.removeprefix("-"), records, "--sort")
    if top is not None and top < 1:
        raise UserError(f"--top={top}: expected a whole number of at least 1")
    against = named(baseline, records) if baseline is not None else None
    kept = selection.kept(records, filters)
    parts: dict[tuple[str, str], list[Record]] = {}
    for record in kept:
        if record.ranked and record.tested_on is not None:
            parts.setdefault(record.tested_on, []).append(record)
    ordered = sorted(parts.values(), key=len, reverse=True)
    sections = []
    for part in ordered:
        first = part[0] if against is None else against
        usable = first if first.tested_on == part[0].tested_on and first.ranked else None
        ranked = tuple(selection.ordered(part, sort))
        sections.append(
            Section(
                title=_title(part, ordered),
                note=_note(part[0], ordered[0][0]),
                runs=ranked[:top],
                baseline=usable,
                hidden=len(ranked) - len(ranked[:top]),
            )
        )
    unranked = tuple(record for record in kept if not record.ranked)
    return Comparison(tuple(sections), unranked, len(records))


def named(name: str, records: Sequence[Record]) -> Record:
    """The one run of that label, folder name or path.

    Raises:
        UserError: there is none, there are several, or it has no figures.
    """
    path = Path(name).expanduser().absolute()
    found = [r for r in records if path == r.run.path or name.rstrip("/") == r.label]
    found = found or [r for r in records if r.run.path.name == name]
    if len(found) != 1:
        what = "several runs have this name" if found else "no such run among those compared"
        raise UserError(f"--baseline={name}: {what}; expected one of the names in the table")
    if not found[0].ranked:
        raise UserError(f"--baseline={name}: this run has no test figures ({found[0].problem})")
    return found[0]


def _title(part: list[Record], parts: list[list[Record]]) -> str:
    data = part[0].dataset
    count = data.get("test_images")
    title = f"{count:,}" if isinstance(count, int) else "?"
    title += f" test images of {data.get('name', 'an unnamed set')}"
    title += f" at {data.get('image_size', '?')} px"
    everywhere = [run.settings for others in parts for run in others]
    tested = schema.keys(lambda key: key.tested)
    for key in dict.fromkeys(["mask", *settings.differing(everywhere)]):
        if key.split(".")[0] not in tested:
            continue
        values = {run.settings.values.get(key) for run in part}
        value = values.pop() if len(values) == 1 else None
        if value not in (None, data.get("name")) and "${" not in str(value):
            title += f", {key}={value}"
    return title


def _note(run: Record, first: Record) -> str:
    if run.tested_on is None or first.tested_on is None or run.tested_on == first.tested_on:
        return ""
    masks, images = (a != b for a, b in zip(run.tested_on, first.tested_on, strict=True))
    what = " and ".join(w for w, differ in (("masks", masks), ("images", images)) if differ)
    return f"Not ranked with the first table: the test {what} differ, so figures do not compare."
