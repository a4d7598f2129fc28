"""An evaluation: a trained generator and the classical fills on the same images and masks."""

import functools
from collections.abc import Callable, Container, Hashable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ctxenc import masks
from ctxenc.baselines import BASELINES, Baseline, prepared, title
from ctxenc.config.instantiate import locate
from ctxenc.data.images import fingerprint
from ctxenc.data.near_copies import near_copies
from ctxenc.errors import UserError, warned
from ctxenc.evaluation.folder import Evaluation, is_own
from ctxenc.evaluation.held_out import Batch, HeldOutSplit, measured
from ctxenc.evaluation.load import Setup, load
from ctxenc.evaluation.statistics import sentence, standing
from ctxenc.geometry import Geometry
from ctxenc.metrics import registry
from ctxenc.metrics.bootstrap import Columns
from ctxenc.metrics.registry import METRICS
from ctxenc.metrics.sliced_wasserstein import SlicedWasserstein
from ctxenc.metrics.torchscript import Networks
from ctxenc.report import extremes

Progress = Callable[[str, int, int], None]  # (what, so many done, of how many)
Row = tuple[Callable[[Batch], Array], int]  # a method's fill, and on how many of the first images
Measured = tuple[Columns, dict[str, Any]]  # a method's values by image, its figures of all together


def evaluate(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    checkpoint: str = "best",
    raw: bool = False,
    name: str | None = None,
    against: str = "all",
    slow_images: int | None = None,
    inception: str | Path | None = None,
    lpips: str | Path | None = None,
    keep: Callable[[Evaluation], bool] = lambda evaluation: False,
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """Measure a run's generator beside baselines, and write it to the run's `evaluation/` folder.

    Baselines that this process has measured on the same images and masks are not measured again.

    Args:
        path: the run folder.
        overrides: Hydra's, of the masks and the images.
        checkpoint: ``best``, ``latest`` or the number of a saved step.
        raw: the weights as the last step left them, also where an average was kept.
        name: of the evaluation; None: dataset, mask and what else was overridden.
        against: ``all``, ``none``, or with commas between, names of `BASELINES` and dotted paths
            of baselines of your own (`ctxenc.baselines`).
        slow_images: of how many of the first images slow baselines are; None: of all where these
            share one hole, else of as many as `BASELINES` says.
        inception: a TorchScript file, for FID and KID (`ctxenc.metrics.torchscript`).
        lpips: likewise, for LPIPS.
        keep: asked whether an evaluation of the same weights with the same options, which is there
            already, is left as it is and returned.
        progress: told how far each pass over images is.

    Raises:
        UserError: bad input, before anything is written.
    """
    wanted = checked(against, name, slow_images)
    setup = load(path, checkpoint, overrides, raw=raw)
    test, trained = setup.test, setup.trained
    images, size = len(test.images), test.images.image_size
    networks = Networks(inception, lpips, size)
    tested = fingerprint(test.images)
    measured_on: dict[str, Any] = {
        "checkpoint": {"which": checkpoint, **trained.described},
        "dataset": {
            "name": setup.dataset.name,
            "image_size": size,
            "test_images": images,
            "test_fingerprint": tested,
        },
        "mask_hash": test.frozen_masks.sha256,
        "missing": test.frozen_masks.missing,
        "images": images,
        "networks": networks.described(),
        "options": {"baselines": sorted(wanted), "slow_images": slow_images},
    }
    if name is None and not setup.own:
        evaluation = Evaluation.apart(trained.run, setup.name, measured_on)
    else:
        evaluation = Evaluation.of(trained.run, name or setup.name)
    measured_on = {"name": evaluation.name, **measured_on}
    same = evaluation.says(measured_on) and is_own(evaluation.metrics) == setup.own
    if same and keep(evaluation):
        return evaluation
    known = _known(
        *(tested, fingerprint(setup.dataset.train), test.frozen_masks.sha256, slow_images),
        *(test.model.geometry.box, test.model.geometry.band),
        *(str(networks.described()), tuple(METRICS)),
    )
    rows, notes = _rows(setup, wanted, against == "all", slow_images, known, progress)
    new = {name: row for name, row in rows.items() if name not in known}
    measured_now = _measure(test, new, networks, progress)
    known |= {name: row for name, row in measured_now.items() if name != "model"}
    found = {name: measured_now.get(name) or known[name] for name in rows}
    columns = {row: values for row, (values, _) in found.items()}
    figures, best, lead = standing(columns)
    before = trained.run.dataset.get("test_fingerprint")
    if before == tested and checkpoint == "best":  # of format 1, which had no validation split
        notes.append("the best checkpoint was chosen on this test split: it flatters the model")
    others = not setup.own and any(override.startswith("dataset") for override in overrides)
    copies = None if others else near_copies(test.images, setup.dataset.train)
    if copies:
        notes.append(f"{copies} of the {images} test images are near copies of training images")
    if note := networks.note(images):
        notes.append(note)
    written = {
        "run": str(trained.run.path),
        **measured_on,
        "overrides": list(overrides),
        "own": setup.own,
        "near_copies": copies,
        "rows": {row: {**figures[row], **together} for row, (_, together) in found.items()},
        "best_baseline": best,
        "model_minus_best_baseline": lead,
        "verdict": sentence(best, lead, images),
        "notes": notes,
    }
    with warned():
        _save_extremes(evaluation.grid, setup, columns["model"]["psnr"])
    evaluation.write(written, {f"{r}.{c}": v for r, of in columns.items() for c, v in of.items()})
    return evaluation


def check_name(name: str | None) -> None:
    """Refuse, with a `UserError`, what can be no folder's name."""
    if name is not None and (not name.strip(". ") or Path(name).name != name):
        raise UserError(f"--name {name}: expected the name of one folder")


def checked(against: str, name: str | None, slow_images: int | None) -> dict[str, Baseline]:
    """The baselines that were asked for, by their names or paths, once it is known that these fit.

    Raises:
        UserError: one of the three is bad, whatever the run.
    """
    check_name(name)
    if slow_images is not None and slow_images < 1:
        raise UserError(f"--slow-images {slow_images}: must be 1 or more")
    if against in ("all", "none"):
        return dict(BASELINES) if against == "all" else {}
    wanted = {}
    for name in (part.strip() for part in against.split(",")):
        known = name.replace("-", "_")
        if known in BASELINES:
            wanted[known] = BASELINES[known]
        elif "." in name:
            wanted[name] = Baseline(title(name), locate(name, "--baselines"))
        else:
            raise UserError(
                f"--baselines {name}: expected all, none, package.module.name of your own, or some "
                f"of {', '.join(BASELINES)}"
            )
    return wanted


@functools.lru_cache(maxsize=4)
def _known(*test: Hashable) -> dict[str, Measured]:
    """The baselines that this process has measured on a test; evaluations put theirs here."""
    return {}


def _rows(
    setup: Setup,
    wanted: dict[str, Baseline],
    whatever_can: bool,
    slow_images: int | None,
    known: Container[str],
    progress: Progress,
) -> tuple[dict[str, Row], list[str]]:
    """(the methods to measure, what to say about those left out or cut short)."""
    images, hole = len(setup.test.images), setup.test.frozen_masks.fixed
    rows: dict[str, Row] = {"model": (setup.fill, images)}
    notes = []
    for name, baseline in wanted.items():
        fitting = functools.partial(progress, f"fitting {baseline.title}")
        fill: Any = None
        try:
            if name not in known:
                fill = prepared(baseline.target, setup.dataset.train, hole, fitting)
        except UserError as reason:
            if not whatever_can:
                raise UserError(f"--baselines {name}: {reason}") from None
            notes.append(f"{baseline.title} is left out: {reason}")
            continue
        count = images
        if baseline.first is not None:
            count = min(images, slow_images or (images if hole is not None else baseline.first))
        if count < images:
            notes.append(f"* {baseline.title} is slow, and of the first {count} images only")
        rows[name] = functools.partial(Batch.filled, fill=fill), count
    return rows, notes


_missing_box = jax.jit(Geometry.missing_box, static_argnums=0)


def _measure(
    test: HeldOutSplit, rows: dict[str, Row], networks: Networks, progress: Progress
) -> dict[str, Measured]:
    """Every row's values by image, NaN where it is not measured; and its `swd`, `fid` and others.

    Images are read once, whatever the number of rows. The networks, if there are any, look at
    every row that is measured on all images.
    """
    total, start, names = len(test.images), 0, tuple(METRICS)
    geometry, patches = test.model.geometry, SlicedWasserstein(total)
    columns = {
        row: {column: np.full(total, np.nan) for column in registry.columns(names)} for row in rows
    }
    for batch in test.batches():
        valid, whole = batch.valid, {}
        hole = _missing_box(geometry, masks.to_float(batch.images), batch.mask)
        patches.look("real", start, np.asarray(hole)[:valid], valid)
        for name, (fill, images) in rows.items():
            if (count := min(valid, images - start)) <= 0:
                continue
            try:
                filled = fill(batch)
            except UserError as reason:
                raise UserError(f"--baselines {name}: {reason}") from None
            if networks and images == total:
                whole[name] = np.asarray(filled)[:valid]
            values = jax.device_get(measured(batch.images, filled, batch.mask, names))
            for column, found in values.items():
                columns[name][column][start : start + count] = found[:count]
            hole = _missing_box(geometry, filled, batch.mask)
            patches.look(name, start, np.asarray(hole)[:valid], count)
        if whole:
            networks.look(batch.own[:valid], whole)
        start += valid
        progress("testing", start, total)
    seen = networks.figures(functools.partial(progress, "FID and KID"))
    return {
        row: (columns[row], {**patch, **seen.get(row, {})})
        for row, patch in patches.figures().items()
    }


def _save_extremes(file: Path, setup: Setup, psnr: np.ndarray) -> None:
    """Draw the images that the model fills best, as usual and worst: real, masked and filled."""
    chosen = extremes.choose(psnr, min(extremes.EACH, setup.test.batch_size))
    groups = {}
    for name, indices in chosen.items():
        batch = setup.test.batch(indices)
        real = masks.to_float(batch.images)
        masked = masks.apply(real, batch.mask, setup.trained.fill_value)
        pictures = (real, masked, setup.fill(batch))
        groups[name] = [np.asarray(row)[: batch.valid] for row in pictures]
    extremes.save(file, groups, {name: psnr[indices] for name, indices in chosen.items()})
