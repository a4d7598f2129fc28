"""An evaluation: a trained generator and the classical fills on the same images and masks."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ctxenc import masks, step
from ctxenc.baselines import classical, ridge
from ctxenc.data.fingerprint import fingerprint, mean_colour
from ctxenc.data.images import decode
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation, PerImage
from ctxenc.evaluation.load import Setting, setting
from ctxenc.evaluation.measure import Fill, Row, measure
from ctxenc.evaluation.statistics import Columns, Standing, sentence
from ctxenc.evaluation.test_split import frozen
from ctxenc.metrics import per_image
from ctxenc.metrics.torchscript import Networks
from ctxenc.report import extremes

BASELINES = (
    "mean_colour",
    "context_mean",
    "telea",
    "navier_stokes",
    "harmonic",
    "biharmonic",
    "ridge",
)
BIHARMONIC_IMAGES = 200  # where holes differ, so that every image is a system of its own
PER_IMAGE = ("l1", "l2", "psnr", "ssim")  # the columns of ``per_image.csv``

Progress = Callable[[str, int, int], None]  # (what, images done, of how many)


def evaluate(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    checkpoint: str = "best",
    raw: bool = False,
    name: str | None = None,
    against: str = "all",
    biharmonic_images: int | None = None,
    inception: str | Path | None = None,
    lpips: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """Measure a run's generator beside baselines, and write it to the run's `evaluation/` folder.

    Args:
        path: the run folder.
        overrides: Hydra's, of the masks and the images: see `ctxenc.evaluation.load.setting`.
        checkpoint: ``best``, ``latest`` or the number of a saved step.
        raw: the weights as the last step left them, also where an average was kept.
        name: of the evaluation; None: dataset, mask and what else was overridden.
        against: ``all``, ``none`` or names of `BASELINES` with commas between.
        biharmonic_images: measure the biharmonic fill on so many of the first images; None: on
            all where they share one hole, else on the first `BIHARMONIC_IMAGES`.
        inception: a TorchScript file, for FID and KID: see `ctxenc.metrics.torchscript`.
        lpips: likewise, for LPIPS.
        progress: told how far each pass over images is.

    Raises:
        UserError: bad input, before anything is written.
    """
    wanted = _wanted(against)
    if name is not None and (not name.strip(". ") or Path(name).name != name):
        raise UserError(f"--name {name}: it takes the name of one folder")
    if biharmonic_images is not None and biharmonic_images < 1:
        raise UserError(f"--biharmonic-images {biharmonic_images}: it takes 1 or more")
    at = setting(path, checkpoint, overrides, raw=raw)
    trained_on = at.trained.run.dataset
    if name is None:
        name = at.name if checkpoint == "best" else f"{at.name}-{_at(checkpoint)}"
    networks = Networks(inception, lpips, at.config.image_size)
    rows, notes = _rows(at, wanted, against == "all", biharmonic_images, progress)
    columns, distances = measure(
        at.test, rows, networks, lambda done, of: progress("testing", done, of)
    )
    seen = networks.figures(lambda done, of: progress("FID and KID", done, of))
    standing = Standing(columns)
    best = standing.best_baseline
    lead = {} if best is None else standing.lead(best)
    test_fingerprint = fingerprint(at.dataset.test)
    if trained_on.get("test_fingerprint") == test_fingerprint:
        if checkpoint == "best":
            notes.append("the best checkpoint was chosen on this test split: it flatters the model")
    elif not any(override.startswith(("dataset", "image_size")) for override in overrides):
        notes.append("the test images have changed since the run was trained")
    if note := networks.note(len(at.dataset.test)):
        notes.append(note)
    written = {
        "name": name,
        "run": str(at.trained.run.path),
        "checkpoint": {"which": checkpoint, **at.trained.described},
        "dataset": {
            "name": at.dataset.name,
            "image_size": at.config.image_size,
            "test_images": len(at.dataset.test),
            "test_fingerprint": test_fingerprint,
        },
        "mask_hash": at.test.mask_hash(),
        "missing": at.test.missing(),
        "images": len(at.dataset.test),
        "networks": networks.described(),
        "rows": {
            row: {**standing.figures(row), "swd": distances[row], **seen.get(row, {})}
            for row in rows
        },
        "best_baseline": best,
        "model_minus_best_baseline": lead,
        "verdict": sentence(best, lead, len(at.dataset.test)),
        "notes": notes,
    }
    evaluation = Evaluation.of(at.trained.run, name)
    _save_extremes(evaluation.grid, at, columns["model"]["psnr"])
    evaluation.write(written, _per_image(columns, len(at.dataset.test)))
    return evaluation


def _wanted(against: str) -> list[str]:
    if against in ("all", "none"):
        return list(BASELINES) if against == "all" else []
    asked = [name.strip().replace("-", "_") for name in against.split(",")]
    for name in asked:
        if name not in BASELINES:
            raise UserError(f"--baselines {name}: it takes all, none or {', '.join(BASELINES)}")
    return [name for name in BASELINES if name in asked]


def _at(checkpoint: str) -> str:
    return f"step{checkpoint}" if checkpoint.isdecimal() else checkpoint


def _rows(
    at: Setting,
    wanted: list[str],
    whatever_can: bool,
    biharmonic_images: int | None,
    progress: Progress,
) -> tuple[dict[str, Row], list[str]]:
    """(the methods to measure, what to say about those left out or cut short)."""
    images, hole, notes = len(at.dataset.test), at.test.fixed_mask(), []
    rows = {"model": Row(_generator(at), images)}
    for name in wanted:
        count = images
        if name == "ridge" and (refusal := _no_ridge(at, hole)):
            if not whatever_can:
                raise UserError(f"--baselines ridge: {refusal}")
            notes.append(f"ridge is left out: {refusal}")
            continue
        if name == "biharmonic":
            default = images if hole is not None else BIHARMONIC_IMAGES
            count = min(images, biharmonic_images or default)
            if count < images:
                notes.append(f"* biharmonic is slow, and of the first {count} images only")
        rows[name] = Row(_baseline(at, name, hole, progress), count)
    return rows, notes


def _no_ridge(at: Setting, hole: np.ndarray | None) -> str | None:
    """Why ridge regression cannot be had here, if it cannot."""
    size = at.config.image_size
    if hole is None:
        return "it takes one hole for all images, and these masks differ"
    if size**2 * 3 > ridge.MOST_VALUES:
        return f"images of {size} × {size} have more than {ridge.MOST_VALUES} values"
    if len(at.dataset.train) < 2:
        return "it takes two training images or more"
    return None


def _generator(at: Setting) -> Fill:
    model, variables, colour = at.model, at.trained.variables, at.trained.fill_value
    return lambda images, mask: step.eval_step(model, variables, images, mask, colour)[0]


def _baseline(at: Setting, name: str, hole: np.ndarray | None, progress: Progress) -> Fill:
    if name == "mean_colour":
        colour = jnp.asarray(mean_colour(at.dataset.train), jnp.float32)
        return lambda images, mask: _mean_colour(images, mask, colour)
    if name == "context_mean":
        return _context_mean
    if name == "ridge":
        assert hole is not None
        return _on_host(
            ridge.fit(at.dataset.train, hole, lambda done, of: progress("fitting ridge", done, of))
        )
    fills: dict[str, classical.Fill] = {
        "telea": classical.telea,
        "navier_stokes": classical.navier_stokes,
        "harmonic": classical.Harmonic(),
        "biharmonic": classical.biharmonic,
    }
    return _on_host(fills[name])


def _on_host(fill: classical.Fill) -> Fill:
    return lambda images, mask: jnp.asarray(fill(np.asarray(images), np.asarray(mask)[..., 0] > 0))


@jax.jit
def _mean_colour(images: Array, mask: Array, colour: Array) -> Array:
    return masks.apply(masks.to_float(images), mask, colour)


@jax.jit
def _context_mean(images: Array, mask: Array) -> Array:
    return per_image.context_mean(masks.to_float(images), mask)


def _per_image(columns: dict[str, Columns], images: int) -> PerImage:
    """The columns of ``per_image.csv``: not a number where a row is of the first images only."""
    table = {}
    for row, values in columns.items():
        for name in PER_IMAGE:
            table[f"{row}.{name}"] = np.full(images, np.nan)
            table[f"{row}.{name}"][: len(values[name])] = values[name]
    return table


def _save_extremes(file: Path, at: Setting, psnr: Float[np.ndarray, " images"]) -> None:
    """Draw the images that the model fills best, as usual and worst."""
    chosen = extremes.choose(psnr)
    groups = {name: _pictures(at, indices) for name, indices in chosen.items()}
    extremes.save(file, groups, {name: psnr[indices] for name, indices in chosen.items()})


def _pictures(at: Setting, indices: Int[np.ndarray, " n"]) -> list[Float[np.ndarray, "n h w 3"]]:
    """Some test images: real, masked and filled, through the program that tested them."""
    batch, model, colour = at.config.batch_size, at.model, at.trained.fill_value
    parts = []
    for start in range(0, len(indices), batch):
        some = indices[start : start + batch]
        padded = np.resize(some, batch)
        images = jnp.asarray(decode(at.dataset.test, padded.tolist()))
        mask = frozen(model.mask, jnp.asarray(padded), at.config.image_size)
        images, mask = jax.device_put((images, mask), at.test.sharding)
        filled, _ = step.eval_step(model, at.trained.variables, images, mask, colour)
        real = masks.to_float(images)
        rows = (real, masks.apply(real, mask, colour), filled)
        parts.append([np.asarray(row)[: len(some)] for row in rows])
    return [np.concatenate(row) for row in zip(*parts, strict=True)]
