"""Two settings image by image, and seed by seed: how much better one fills the very same holes."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.comparison import figures, groups
from ctxenc.comparison.evaluated import Evaluated
from ctxenc.comparison.groups import Draw, Group
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison
from ctxenc.comparison.tables import Cell, Column, Row, Table, difference_row, ends_of
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics import bootstrap, registry
from ctxenc.metrics.bootstrap import Columns
from ctxenc.metrics.registry import METRICS

DIFFERENCE = "test.difference"  # begins the keys of columns

Setting = tuple[Group, str]  # and which checkpoint of its runs
Samples = Float[np.ndarray, "..."]  # of all images, then of resamples where each image's are known
Sampled = Mapping[Draw, tuple[Evaluated, dict[str, Samples]]]  # the figures of a setting's runs


def tables(comparison: Comparison, *, everything: bool = False) -> tuple[list[Table], list[str]]:
    """Every setting's evaluations minus those of a baseline with the same masks and images.

    The first setting stands in where no section's baseline has such an evaluation. Minor metrics
    are shown with `everything`.

    Returns:
        (a table for each set of masks and images, best first; what could not be used, and why).
    """
    sides: dict[Any, dict[Any, Evaluated]] = {}
    left_out: list[str] = []
    without: list[str] = []
    tests = {run: section.tests for section in comparison.sections for run in section.runs}
    for record, place in _places(comparison).items():
        mine = tests[record].every[record]
        left_out += [_short(text, record) for text in tests[record].damaged.get(record, ())]
        without += [
            f"{record.label}/evaluation/{side.evaluation.name}"
            for side in mine
            if not side.evaluation.has_images
        ]
        for side in mine:
            # Of older runs the test split chose the best: they have tables of their own.
            split = record.tested_on and record.tested_on.split
            same = sides.setdefault((split, side.on), {})
            same.setdefault((*place, side.saved), side)  # one checkpoint twice is the same
    if without:  # as in an archive of small files: one line, whatever its size
        others = f" and {len(without) - 1} more" if len(without) > 1 else ""
        left_out.append(f"{without[0]}{others}: no per_image.csv, so images are not paired")
    found: list[Table] = []
    for same in sides.values():
        if len(same) > 1:
            settings = _sampled(same.values(), comparison, left_out)
            found += _table(f"paired-{len(found)}", settings, comparison, everything, left_out)
    return found, left_out


def _places(comparison: Comparison) -> dict[Record, tuple[Group, Draw]]:
    """Each run that counts with its setting and what is averaged over; the baselines' first."""
    every = [
        (section.baseline, group) for section in comparison.sections for group in section.groups
    ]
    every.sort(key=lambda pair: pair[0] not in pair[1].runs)
    return {run: (group, draw) for _, group in every for draw, run in group.draws.items()}


def _sampled(
    sides: Iterable[Evaluated], comparison: Comparison, left_out: list[str]
) -> Mapping[Setting, Sampled]:
    """Each setting's figures by run: of all images and, where each one's are known, resamples."""
    places, sides = _places(comparison), list(sides)
    whole = _whole((side for side in sides if side.evaluation.has_images), left_out)
    resampled = bootstrap.resampled_figures([*whole.values()]) if whole else []
    samples = dict(zip(whole, resampled, strict=True))
    for side in sides:
        if not side.evaluation.has_images:
            samples[side] = {m: np.array([figure]) for m, figure in side.figures.items()}
    found: dict[Setting, dict[Draw, tuple[Evaluated, dict[str, Samples]]]] = {}
    for side in sides:
        if side in samples:
            group, draw = places[side.record]
            of_setting = found.setdefault((group, side.checkpoint), {})
            of_setting.setdefault(draw, (side, samples[side]))
    return found


def _whole(sides: Iterable[Evaluated], left_out: list[str]) -> dict[Evaluated, Columns]:
    """Those that can be read and have as many images as the first, with each image's values."""
    whole: dict[Evaluated, Columns] = {}
    for side in sides:
        with _noted(left_out, side.record):
            columns = _columns(side.evaluation)
            first, of_first = next(iter(whole.items()), (side, columns))
            count, expected = (len(next(iter(c.values()))) for c in (columns, of_first))
            if count != expected:
                raise UserError(
                    f"{side.name}: evaluation {side.evaluation.name} has {count} images "
                    f"and that of {first.name} {expected}"
                )
            whole[side] = columns
    return whole


def _table(
    key: str,
    found: Mapping[Setting, Sampled],
    comparison: Comparison,
    everything: bool,
    left_out: list[str],
) -> list[Table]:
    """All but the first minus the first: a baseline, since they come first, or its stand-in."""
    if len(found) < 2:
        return []
    names = _names(found, comparison)
    rows = _rows(found, names, left_out)
    if not rows:
        return []
    evaluations = sorted({row["evaluation"].text for _, row in rows})
    seeds = any(() not in own for own in found.values())
    by_image = all(side.evaluation.has_images for own in found.values() for side, _ in own.values())
    notes = [_note(", ".join(evaluations), rows[0][1]["images"].text, seeds, by_image)]
    title = f"Paired differences on test images from {next(iter(names.values()))}"
    sides = [side for own in found.values() for side, _ in own.values()]
    masks = {side.record.settings.values.get("mask") for side in sides}
    if len(masks) == 1 and all(side.own for side in sides):
        title += f", mask={masks.pop()}"
    columns = [Column("run", "setting" if seeds else "run")]
    columns += [Column("evaluation", "evaluation", hidden=len(evaluations) == 1)]
    columns += [Column("n", "n", True, hidden=not seeds)]
    columns += [Column("baseline", "minus", hidden=True), Column("images", "images", True, True)]
    for name in figures.names(means for means, _ in rows):
        minor = METRICS[name].minor and not everything
        mean = Column(f"{DIFFERENCE}.{name}", figures.heading(name), True, minor, metric=name)
        columns += [mean, *ends_of(mean)]
    return [Table(key, title, notes, columns, [row for _, row in rows])]


def _rows(
    found: Mapping[Setting, Sampled], names: Mapping[Setting, str], left_out: list[str]
) -> list[tuple[dict[str, float], Row]]:
    """(mean differences by metric, the row) of all settings but the first, best first."""
    (first, baseline), *others = found.items()
    rows: list[tuple[dict[str, float], Row]] = []
    for setting, own in others:
        differences = _differences(own, baseline)
        side = next(iter(own.values()))[0]
        row: Row = {"run": Cell.of(names[setting]), "baseline": Cell.of(names[first])}
        row["evaluation"] = Cell.of(side.evaluation.name)
        row["images"] = Cell(f"{side.images or 0:,.0f}", side.images)
        shared = len(own.keys() & baseline.keys())
        row["n"] = Cell(str(shared), shared)
        for metric, difference in differences.items():
            row |= difference_row(f"{DIFFERENCE}.{metric}", metric, difference)
        if differences:
            rows.append(({metric: d["mean"] for metric, d in differences.items()}, row))
        elif not shared:
            left_out.append(
                f"{names[setting]}: not paired, as it shares no run's seed with {names[first]}"
            )
    return sorted(rows, key=lambda pair: figures.badness(pair[0]))


def _names(found: Mapping[Setting, Sampled], comparison: Comparison) -> dict[Setting, str]:
    """What a setting is called among those of a table, with a checkpoint that is not the best."""
    by = next((section.by for section in comparison.sections if section.by), ())
    every = list(dict.fromkeys(group for group, _ in found))
    called = dict(zip(every, groups.names(every, by), strict=True))
    names = {}
    for (group, checkpoint), runs in found.items():
        name = called[group] if by else next(iter(runs.values()))[0].record.label
        names[group, checkpoint] = name if checkpoint == "best" else f"{name} ({checkpoint})"
    return names


def _differences(own: Sampled, baseline: Sampled) -> dict[str, dict[str, float]]:
    """By metric, the mean of own minus baseline, of the runs that both have, with its interval.

    Of one run each the interval is over the images, where what is averaged over is nothing at all.
    """
    pairs = [(own[draw][1], baseline[draw][1]) for draw in own if draw in baseline]
    found = {}
    for metric in set.intersection(*({*a} & {*b} for a, b in pairs)) if pairs else ():
        if metric not in METRICS:
            continue
        least = min(len(side[metric]) for pair in pairs for side in pair)
        samples = np.array([a[metric][:least] - b[metric][:least] for a, b in pairs])
        if np.isfinite(samples).all():
            alone = () in own and least > 1
            found[metric] = bootstrap.figure(samples[0]) if alone else bootstrap.over_seeds(samples)
    return found


def _note(evaluations: str, images: str, seeds: bool, by_image: bool) -> str:
    level = f"{bootstrap.LEVEL} %"
    begin = (
        f"Evaluation {evaluations}: mean difference over the same {images} test images and masks"
    )
    if not seeds:
        if not by_image:
            return f"{begin}. How sure it is is not known: the figures of each image are missing."
        return (
            f"{begin}, with a {level} bootstrap interval over the images; what another seed would "
            "change is not in it. ≈: zero is inside."
        )
    over = "seeds and images" if by_image else "seeds"
    return (
        f"{begin}, and over the n seeds that both have; with {bootstrap.FEWEST_SEEDS} or more, "
        f"with a {level} interval over {over}. ≈: zero is inside."
    )


@contextlib.contextmanager
def _noted(left_out: list[str], record: Record) -> Iterator[None]:
    """Go on after what cannot be used, with a line in `left_out`."""
    try:
        yield
    except UserError as error:
        left_out.append(_short(str(error), record))


def _short(text: str, record: Record) -> str:
    return text.replace(str(record.run.path), record.label)


def _columns(evaluation: Evaluation) -> Columns:
    """The model's columns of ``per_image.csv`` that this version's metrics are made of."""
    known = registry.columns(tuple(METRICS))
    found = {n.removeprefix("model."): v for n, v in evaluation.per_image("model").items()}
    columns = {name: values for name, values in found.items() if name in known}
    if any(np.isinf(values).any() for values in columns.values()) or not columns:
        file = evaluation.path / "per_image.csv"
        raise UserError(f"{file}: expected columns model.<metric> of finite numbers")
    return columns
