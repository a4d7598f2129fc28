"""Runs side by side: which can be ranked together, in which order, and what tells them apart.

Figures can be compared only where what training was tested on is the same, split, masks and images
alike, so runs are first parted by that, and nothing is ever ranked or subtracted across the parts.
"""

import difflib
import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctxenc.comparison import evaluated, figures, groups, probed, settings
from ctxenc.comparison.evaluated import Evaluated, Tests
from ctxenc.comparison.filters import Filter
from ctxenc.comparison.groups import Group
from ctxenc.comparison.records import OWN_KEYS, Record, TestedOn, natural
from ctxenc.config import schema
from ctxenc.errors import UserError
from ctxenc.metrics.registry import MAIN, METRICS
from ctxenc.paths import expanded


@dataclass(frozen=True)
class Section:
    """Runs whose figures can be compared, in order; `baseline` is what changes are against.

    `title` says what they were tested on while they trained, which was `split`; `notes` why they
    stand apart. `groups` are those that are the same but for the keys `by`, or each run alone where
    there are none. `tests` has the figures of the test split. `cut` are the groups that ``top``
    cut off, in order, too.
    """

    title: str
    notes: tuple[str, ...]
    split: str
    groups: tuple[Group, ...]
    by: tuple[str, ...]
    baseline: Record | None
    tests: Tests
    cut: tuple[Group, ...] = ()

    @property
    def hidden(self) -> int:
        """How many groups ``top`` cut off."""
        return len(self.cut)

    @property
    def runs(self) -> tuple[Record, ...]:
        """All runs of the groups."""
        return tuple(run for group in self.groups for run in group.runs)

    @functools.cached_property
    def names(self) -> Mapping[Group, str]:
        """What each group is called: the settings that tell it from the others."""
        return dict(zip(self.groups, groups.names(self.groups, self.by), strict=True))

    def value(self, run: Record, name: str) -> Any:
        """A run's value of a key, as ``test.psnr_db`` of its test; None where it has none."""
        if name.startswith("test.") and run in self.tests.shown:
            return self.tests.shown[run].figures.get(name.removeprefix("test."))
        return run.values.get(name)

    @property
    def evaluated(self) -> list[Evaluated]:
        """What the test figures of its runs are from; nothing of those that have none."""
        return [self.tests.shown[run] for run in self.runs if run in self.tests.shown]


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


def compare(
    records: Sequence[Record],
    *,
    sort: str = MAIN,
    top: int | None = None,
    filters: Sequence[str] = (),
    baseline: str | None = None,
    group_by: Sequence[str] | None = None,
) -> Comparison:
    """Sort the runs into sections of comparable ones.

    Args:
        records: as `ctxenc.comparison.records.load` gives them.
        sort: a key of `Record.values`, or as ``test.psnr_db`` a figure of `Section.tests`; a
            leading minus reverses. Metrics sort best first, the rest upwards, and runs without the
            value come last.
        top: how many groups of each section are kept; None for all.
        filters: as ``KEY=VALUE`` or ``KEY<VALUE``, which all hold for the runs that are kept; of
            no test figures, since these are chosen for the runs of a section.
        baseline: label, folder name or path of the run that changes are against; None for the
            first run of each section.
        group_by: keys of the configuration that runs are put together over; none for each run
            alone; None for the seed, in sections where runs differ in it alone.

    Raises:
        UserError: an unknown key, filters that leave nothing, or no such baseline.
    """
    for key in group_by or ():
        check_key(key, records, "--group-by", sorts=False)
    check_key(sort.removeprefix("-"), records, "--sort")
    if top is not None and top < 1:
        raise UserError(f"--top={top}: expected a whole number of at least 1")
    against = None if baseline is None else _named(baseline, records)
    kept = _kept(records, filters)
    parts: dict[TestedOn, list[Record]] = {}
    for record in kept:
        if record.tested_on is not None and record.ranked:
            parts.setdefault(record.tested_on, []).append(record)
    alike = {tested_on: probed.alike(part) for tested_on, part in parts.items()}
    ordered = sorted(alike.items(), key=lambda item: len(item[1]), reverse=True)
    sections = []
    for tested_on, part in ordered:
        named = (run for run in part if against and run.run is against.run)
        first = next(named, against or part[0])
        by = groups.usual(part) if group_by is None else tuple(group_by)
        section = Section(
            title=_title(tested_on.split, part, [others for _, others in ordered]),
            notes=tuple(_notes(tested_on, ordered[0][0])),
            split=tested_on.split,
            groups=tuple(groups.grouped(part, by)),
            by=by,
            baseline=first if first.tested_on == tested_on else None,
            tests=evaluated.tests(part),
        )
        found = tuple(_ordered(section, sort))
        cut = found[top:] if top else ()
        sections.append(replace(section, groups=found[:top], cut=cut))
    unranked = tuple(record for record in kept if not record.ranked)
    return Comparison(tuple(sections), unranked, len(records))


def check_key(key: str, records: Sequence[Record], option: str, *, sorts: bool = True) -> None:
    """Refuse a key that no run can have; with `sorts` those that are no settings are keys too."""
    known = list(dict.fromkeys(k for r in records for k in r.settings.values))
    if sorts:
        there = figures.names(r.last for r in records)
        probes = [m for m in METRICS if m.startswith(probed.PREFIX)]
        validated = [*figures.OF_VALIDATION, *there]
        tested = [m for m in (*METRICS, *there) if m not in probes]
        known = [*OWN_KEYS, *validated, *probes, *(f"best.{m}" for m in validated)]
        known += [*(f"test.{m}" for m in tested), *(k for r in records for k in r.values)]
        known = list(dict.fromkeys(known))
    if key not in known:
        if f"test.{key}" in known:
            hint = "" if option == "--filter" else f"; expected test.{key}"
            raise UserError(f"{option}={key}: no validation has it{hint}")
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(known)}"
        raise UserError(f"{option}={key}: no such key; {hint}")


def _kept(records: Sequence[Record], filters: Sequence[str]) -> list[Record]:
    """The runs for which all filters hold."""
    wanted = [Filter.of(text) for text in filters]
    for each in wanted:
        check_key(each.key, records, "--filter")
        # Runs from before there was a validation split have a key such as test.best.psnr_db.
        if each.key.startswith("test.") and not any(each.key in run.values for run in records):
            raise UserError(
                f"--filter={each.text}: runs are not filtered by test figures; expected those of "
                f"validation, as best.{MAIN}, or other keys; --sort {each.key} orders by it"
            )
    kept = [run for run in records if all(each.holds(run) for each in wanted)]
    if not kept:
        raise UserError(f"{' '.join(filters)}: none of the {len(records)} runs is like that")
    return kept


def _named(name: str, records: Sequence[Record]) -> Record:
    """The one run of that label, folder name or path."""
    path = expanded(name).absolute()
    found = [r for r in records if path == r.run.path or name.rstrip("/") == r.label]
    found = found or [r for r in records if r.run.path.name == name]
    if len(found) != 1:
        what = "several runs have this name" if found else "no such run among those compared"
        raise UserError(f"--baseline={name}: {what}; expected one of the names in the table")
    if not found[0].ranked:
        raise UserError(f"--baseline={name}: this run has no figures ({found[0].problem})")
    return found[0]


def _ordered(section: Section, sort: str) -> list[Group]:
    name = sort.removeprefix("-")
    metric = METRICS.get(figures.metric_of(name))
    values: dict[Group, Any] = {}
    for group in section.groups:
        of_each = [section.value(run, name) for run in group.draws.values() or group.runs]
        if known := [value for value in of_each if value is not None]:
            text = any(isinstance(value, str) for value in known)
            values[group] = known[0] if text else statistics.fmean(known)

    def key(group: Group) -> Any:
        value = values[group]
        try:
            return metric.badness(value) if metric else (0, float(value), [])
        except ValueError:
            return (1, 0.0, natural(str(value)))

    known = sorted(values, key=key, reverse=sort.startswith("-"))
    return known + [group for group in section.groups if group not in values]


def _title(split: str, part: Sequence[Record], parts: Sequence[Sequence[Record]]) -> str:
    """What the runs of a part were tested on, with the keys by which the parts may differ."""
    data = part[0].dataset
    count = data.get(f"{split}_images")
    title = f"{count:,}" if isinstance(count, int) else "?"
    title += f" {split} images of {data.get('name', 'an unnamed set')}"
    title += f" at {data.get('image_size', '?')} px"
    tested = schema.keys(lambda key: key.measured_on)
    differing = settings.differing([run.settings for others in parts for run in others])
    for key in dict.fromkeys(["mask", *differing]):
        values = {run.settings.values.get(key) for run in part}
        value = values.pop() if len(values) == 1 else None
        if key.split(".")[0] in tested and value not in (None, data.get("name")):
            title += "" if "${" in str(value) else f", {key}={value}"
    return title


def _notes(own: TestedOn, first: TestedOn) -> list[str]:
    notes = []
    if own.split == "test":
        notes.append(
            "Runs from before there was a validation split: tested on the test split while they "
            "trained, so their best was chosen on it."
        )
    if own.split != first.split:
        notes.append(
            f"Not ranked with the first table, which is of {first.split} images: figures do not "
            "compare."
        )
    elif own != first:
        pairs = zip(("masks", "images"), own[1:], first[1:], strict=True)
        what = " and ".join(what for what, mine, others in pairs if mine != others)
        notes.append(
            f"Not ranked with the first table: the {own.split} {what} differ, so figures do not "
            "compare."
        )
    return notes
