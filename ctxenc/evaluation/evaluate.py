"""An evaluation: a trained generator and the classical fills on the same images and masks."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float, Int

from ctxenc import masks, step
from ctxenc.baselines import BASELINES, Baseline, prepared, title
from ctxenc.config.instantiate import locate
from ctxenc.data.images import fingerprint
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.evaluation.load import Setup, load
from ctxenc.evaluation.measure import Row, measure
from ctxenc.evaluation.statistics import Standing, sentence
from ctxenc.evaluation.test_split import Batch
from ctxenc.metrics.torchscript import Networks
from ctxenc.report import extremes

Progress = Callable[[str, int, int], None]  # (what, so many done, of how many)


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
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """Measure a run's generator beside baselines, and write it to the run's `evaluation/` folder.

    Args:
        path: the run folder.
        overrides: Hydra's, of the masks and the images: see `ctxenc.evaluation.load`.
        checkpoint: ``best``, ``latest`` or the number of a saved step.
        raw: the weights as the last step left them, also where an average was kept.
        name: of the evaluation; None: dataset, mask and what else was overridden.
        against: ``all``, ``none``, or with commas between, names of `BASELINES` and dotted paths
            of baselines of your own (`ctxenc.baselines`).
        slow_images: measure baselines that are slow where holes differ on so many of the first
            images; None: on all where they share one hole, else on as many as `BASELINES` says.
        inception: a TorchScript file, for FID and KID: see `ctxenc.metrics.torchscript`.
        lpips: likewise, for LPIPS.
        progress: told how far each pass over images is.

    Raises:
        UserError: bad input, before anything is written.
    """
    wanted = _wanted(against)
    if name is not None and (not name.strip(". ") or Path(name).name != name):
        raise UserError(f"--name {name}: expected the name of one folder")
    if slow_images is not None and slow_images < 1:
        raise UserError(f"--slow-images {slow_images}: must be 1 or more")
    setup = load(path, checkpoint, overrides, raw=raw)
    test, trained, images = setup.test, setup.trained, len(setup.dataset.test)
    if name is None:
        at = f"step{checkpoint}" if checkpoint.isdecimal() else checkpoint
        name = setup.name if checkpoint == "best" else f"{setup.name}-{at}"
    networks = Networks(inception, lpips, setup.config.image_size)
    rows, notes = _rows(setup, wanted, against == "all", slow_images, progress)
    columns, patches = measure(test, rows, networks, lambda done, of: progress("testing", done, of))
    seen = networks.figures(lambda done, of: progress("FID and KID", done, of))
    standing = Standing(columns)
    best = standing.best_baseline
    lead = {} if best is None else standing.lead(best)
    notes += _notes(setup, checkpoint, overrides)
    if note := networks.note(images):
        notes.append(note)
    written = {
        "name": name,
        "run": str(trained.run.path),
        "checkpoint": {"which": checkpoint, **trained.described},
        "dataset": {
            "name": setup.dataset.name,
            "image_size": setup.config.image_size,
            "test_images": images,
            "test_fingerprint": fingerprint(setup.dataset.test),
        },
        "mask_hash": test.mask_hash(),
        "missing": test.missing(),
        "images": images,
        "networks": networks.described(),
        "rows": {r: {**standing.figures(r), **patches[r], **seen.get(r, {})} for r in rows},
        "best_baseline": best,
        "model_minus_best_baseline": lead,
        "verdict": sentence(best, lead, images),
        "notes": notes,
    }
    evaluation = Evaluation.of(trained.run, name)
    _save_extremes(evaluation.grid, setup, columns["model"]["psnr"])
    each = {f"{row}.{column}": v for row, of in columns.items() for column, v in of.items()}
    evaluation.write(written, each)
    return evaluation


def _wanted(against: str) -> dict[str, Baseline]:
    """The baselines that were asked for, by their names or paths."""
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


def _rows(
    setup: Setup,
    wanted: dict[str, Baseline],
    whatever_can: bool,
    slow_images: int | None,
    progress: Progress,
) -> tuple[dict[str, Row], list[str]]:
    """(the methods to measure, what to say about those left out or cut short)."""
    images, hole, notes = len(setup.dataset.test), setup.test.fixed_mask(), []
    rows = {"model": Row(_generator(setup), images)}
    for name, baseline in wanted.items():
        try:
            rows[name] = Row(_filling(setup, name, baseline, hole, progress), images)
        except UserError as reason:
            if not whatever_can:
                raise UserError(f"--baselines {name}: {reason}") from None
            notes.append(f"{baseline.title} is left out: {reason}")
            continue
        if baseline.first is not None:
            count = min(images, slow_images or (images if hole is not None else baseline.first))
            rows[name] = Row(rows[name].fill, count)
            if count < images:
                notes.append(f"* {baseline.title} is slow, and of the first {count} images only")
    return rows, notes


def _notes(setup: Setup, checkpoint: str, overrides: Sequence[str]) -> list[str]:
    """What to say about the test images, given those that training tested on."""
    if setup.trained.run.dataset.get("test_fingerprint") == fingerprint(setup.dataset.test):
        flattered = "the best checkpoint was chosen on this test split: it flatters the model"
        return [flattered] if checkpoint == "best" else []
    if any(override.startswith(("dataset", "image_size")) for override in overrides):
        return []
    return ["the test images have changed since the run was trained"]


def _generator(setup: Setup) -> Callable[[Batch], Array]:
    model, variables, value = setup.model, setup.trained.variables, setup.trained.fill_value
    return lambda batch: step.eval_step(model, variables, batch.images, batch.mask, value)[0]


def _filling(
    setup: Setup, name: str, baseline: Baseline, hole: np.ndarray | None, progress: Progress
) -> Callable[[Batch], Array]:
    def fitting(done: int, of: int) -> None:
        progress(f"fitting {baseline.title}", done, of)

    fill = prepared(baseline.target, setup.dataset.train, hole, fitting)

    def filled(batch: Batch) -> Array:
        try:
            return batch.filled(fill)
        except UserError as reason:
            raise UserError(f"--baselines {name}: {reason}") from None

    return filled


def _save_extremes(file: Path, setup: Setup, psnr: Float[np.ndarray, " images"]) -> None:
    """Draw the images that the model fills best, as usual and worst."""
    chosen = extremes.choose(psnr, min(extremes.EACH, setup.config.batch_size))
    groups = {name: _pictures(setup, indices) for name, indices in chosen.items()}
    extremes.save(file, groups, {name: psnr[indices] for name, indices in chosen.items()})


def _pictures(setup: Setup, indices: Int[np.ndarray, " n"]) -> list[Float[np.ndarray, "n h w 3"]]:
    """Some test images: real, masked and filled, through the program that tested them."""
    batch = setup.test.batch(indices)
    real = masks.to_float(batch.images)
    masked = masks.apply(real, batch.mask, setup.trained.fill_value)
    rows = (real, masked, _generator(setup)(batch))
    return [np.asarray(row)[: batch.valid] for row in rows]
