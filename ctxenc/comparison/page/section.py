"""What a page draws of a section beside its tables: curves, relations of figures, and samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from ctxenc.comparison import figures
from ctxenc.comparison.page import curves, relations, samples
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import Table
from ctxenc.metrics.registry import MAIN, METRICS


class Filled(NamedTuple):
    """One setting's row of samples: its place in the section, and of which run it is."""

    row: int
    picture: Markup
    shape: tuple[int, ...]
    step: int
    caption: str


@dataclass(frozen=True)
class Block:
    """Settings that were tested on the same images: the real ones, the masked, and each one's."""

    real: samples.Strip
    masked: samples.Strip
    rows: list[Filled]

    @property
    def hides(self) -> bool:
        """Whether the masks hide anything: those of ``mask=whole`` do not."""
        return not np.array_equal(self.real, self.masked)


@dataclass(frozen=True)
class Drawing:
    """A section's `names` of settings, their `places` among all of the page, and its pictures.

    `titles` has the choices of curves by kind; `figures` goes to the page's script; `without`
    counts the settings that have no samples here, and `uncurved` those that have no curves.
    """

    title: str
    split: str
    over: str
    names: list[str]
    places: list[int]
    titles: Mapping[str, Mapping[str, str]]
    figures: Mapping[str, Any]
    blocks: list[Block]
    without: int
    uncurved: int

    @classmethod
    def of_all(cls, comparison: Comparison, tables: Mapping[str, Table]) -> "dict[str, Drawing]":
        """Each section's by the key of its table."""
        every = dict.fromkeys(name for s in comparison.sections for name in s.names.values())
        places = {name: place for place, name in enumerate(every)}
        most = curves.points(len(every), len(comparison.ranked))
        left = samples.Budget(len(comparison.ranked))
        return {
            key: cls._of(section, tables[key], places, most, left)
            for number, section in enumerate(comparison.sections)
            if (key := f"section-{number}") in tables
        }

    @classmethod
    def _of(
        cls,
        section: Section,
        table: Table,
        places: Mapping[str, int],
        most: int,
        left: samples.Budget,
    ) -> "Drawing":
        names = list(section.names.values())
        own = [places[name] for name in names]
        runs = [list(group.draws.values()) or list(group.runs) for group in section.groups]
        blocks = _blocks(section, runs, left)
        curved = runs[: curves.MOST_CURVES]
        series = [[curves.series(run, most) for run in group] for group in curved]
        titles = curves.titles(series, section.split)
        settings = list(zip(names, own, strict=True))[: len(curved)]
        fills = section.runs[0].baselines
        drawn = {
            kind: {
                name: curves.drawn(
                    [[run[kind] for run in group] for group in series],
                    name,
                    settings,
                    {t: f[name] for t, f in fills.items() if name in f and kind == "tests"},
                )
                for name in found
            }
            for kind, found in titles.items()
        }
        axes = relations.dimensions(table, section.split)
        return cls(
            title=section.title,
            split=section.split,
            over=", ".join(section.by),
            names=names,
            places=own,
            titles=titles,
            figures={
                "curves": drawn,
                "scatter": relations.scatter(axes, names, own),
                "parallel": relations.parallel(axes, names),
            },
            blocks=blocks,
            without=len(names) - sum(len(block.rows) for block in blocks),
            uncurved=len(names) - len(curved),
        )


def _blocks(section: Section, runs: list[list[Record]], left: samples.Budget) -> list[Block]:
    """The rows of settings, of each the first run that has a picture, until the page is full."""
    blocks: dict[str, Block] = {}
    for row, group in enumerate(runs):
        found = next(((r, s) for r in group if left and (s := samples.last_strips(r))), None)
        if found is None:
            continue
        run, strips = found
        block = blocks.setdefault(strips.same, Block(strips.real, strips.masked, []))
        picture = left.taken(samples.uri(strips.filled))
        shape = strips.filled.shape
        block.rows.append(Filled(row, picture, shape, strips.step, _caption(section, run)))
    return list(blocks.values())


def _caption(section: Section, run: Record) -> str:
    """Of a run's strips: which run of its setting, how good, and when."""
    words = [f"{key}={run.shown(key, run.settings.values.get(key, ''))}" for key in section.by]
    if MAIN in run.last:
        figure, metric = figures.shown(MAIN, run.last[MAIN]), METRICS[MAIN]
        words.append(f"{section.split} {metric.title} {figure} {metric.unit}")
    return " · ".join(words)
