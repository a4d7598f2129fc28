"""The part of a comparison's table that is of the test split: evaluations, and what they are of."""

from collections.abc import Sequence
from dataclasses import replace

from ctxenc.comparison import figures
from ctxenc.comparison.evaluated import Evaluated
from ctxenc.comparison.sections import Section
from ctxenc.comparison.tables import ENDS, Cell, Column, Row
from ctxenc.metrics.registry import METRICS


def columns(section: Section, minor: set[str], beside: Sequence[str] = ENDS) -> list[Column]:
    """Those of the test split, where any run has figures of it; `beside` each, hidden ones."""
    found = section.evaluated
    alike = len({test.checkpoint for test in found}) < 2
    made = [Column("test.checkpoint", "checkpoint", hidden=alike)] if found else []
    for name in figures.names(test.figures for test in found):
        title = f"test {figures.heading(name)}"
        made.append(Column(f"test.{name}", title, True, name in minor, metric=name))
        made += [Column(f"test.{name}.{end}", "", True, hidden=True) for end in beside]
    return [replace(column, group="evaluation, on test images") for column in made]


def cells(test: Evaluated | None) -> Row:
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


def notes(section: Section) -> list[str]:
    """Of what the test figures are, and which runs have none."""
    if not (found := section.evaluated):
        return []
    kinds = ", ".join(dict.fromkeys(test.checkpoint for test in found))
    count = "?" if (images := found[0].images) is None else f"{images:,}"
    lines = [
        f"Test: evaluations on the runs' own {count} test images and masks, checkpoint {kinds}."
    ]
    if section.tests.several:
        lines.append("Of a run's several, that of best counts, else of latest, never the better.")
    elsewhere = len(section.tests.elsewhere.intersection(section.runs))
    blanks = {
        "without such an evaluation": len(section.runs) - len(found) - elsewhere,
        "of other test images or masks than the rest": elsewhere,
    }
    reasons = [f"{count} {reason}" for reason, count in blanks.items() if count]
    return lines + ([f"No test figures: {', '.join(reasons)}."] if reasons else [])
