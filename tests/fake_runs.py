"""Run folders as training leaves them, without training."""

import json

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from ctxenc.evaluation.folder import Evaluation
from ctxenc.metrics.registry import measured_in_training
from ctxenc.report import grids
from ctxenc.run_folder.folder import Run

CONFIG = {
    "name": "context_encoder",
    "seed": 0,
    "max_steps": None,
    "learning_rate_g": 5e-4,
    "lambda_adv": 1e-3,
    "mask_height": 16,
    "num_workers": 2,
    "samples_dir": "samples",
    "save_dir": "checkpoints",
    "dataset": {"_target_": "ctxenc.data.photos.photos"},
    "mask": {
        "_target_": "ctxenc.masks.boxes.center_box",
        "mask_height": "${mask_height}",
        "mask_width": "${mask_width}",
    },
}
RANDOM = {"mask": {**CONFIG["mask"], "_target_": "ctxenc.masks.boxes.random_box"}}


def figures(psnr, step=100):
    values = {"psnr_db": psnr, "ssim": psnr / 100, "l1_percent": 30 - psnr, "l2_percent": 3.0}
    return {"step": step, **dict.fromkeys(measured_in_training(), psnr - 1), **values}


def fake_run(
    folder,
    psnr=15.0,
    *,
    state="finished",
    error=None,
    masks="masks",
    images="images",
    split="validation",
    overrides=(),
    **config,
):
    """A run folder with every small file, tested at steps 50 and 100.

    With `split` of ``test`` as before there was a validation split.
    """
    run = Run(folder)
    run.write_config(OmegaConf.create({**CONFIG, **config}), list(overrides))
    run.write_status(state, step=100, seconds=61.0, error=error)
    run.write_dataset(
        {
            "name": "photos",
            "image_size": 32,
            f"{split}_images": 40,
            f"{split}_fingerprint": images,
            "mask_hash": masks,
        }
    )
    baselines = {"mean_colour": figures(11.0), "context_mean": figures(12.0)}
    last, best = figures(psnr), figures(psnr + 0.5, step=50)
    run.write_summary({"step": 100, "last": last, "best": best, "baselines": baselines})
    for step in (25, 50, 75, 100):
        losses = {"generator_loss": 1 / step, "reconstruction_loss": 0.9 / step}
        run.append_metrics({"split": "train", "step": step, **losses})
    for line in (best, last):
        run.append_metrics({"split": split, **line})
    return run


def fake_samples(run, shade=0.0, step=100, captioned=True, hidden=True):
    """Three test images, the same in every run, and their fills of one shade."""
    real = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3))
    masked, filled = real.copy(), real.copy()
    if hidden:
        masked[:, 8:24, 8:24] = 1.0
    filled[:, 8:24, 8:24] = shade
    rows = {"real": real, "masked": masked, "filled": filled}
    if captioned:
        picture = grids.captioned("A title", rows, ["9.1 dB"] * 3)
    else:
        picture = Image.fromarray(grids.grid(list(rows.values())))
    grids.save(run.sample(step), picture)


def fake_evaluation(
    run,
    psnr,
    name="test",
    masks="test masks",
    images="test images",
    weights="raw",
    which="best",
    step=None,
    overrides=(),
    own=None,
    **columns,
):
    """An evaluation with these per-image PSNRs, other columns made from them, or given, or None.

    It is of the run's own test split and masks, unless there are overrides; None: not said. `own`
    says whether it is in so many words.
    """
    psnr = np.asarray(psnr, float)
    made = {"psnr": psnr, "ssim": psnr / 100, "l1": 1 / psnr, "l2": 0.1 / psnr}
    kept = {c: v for c, v in (made | columns).items() if v is not None}
    steps = {"best": 50, "latest": 100}
    metrics = {
        "mask_hash": masks,
        "images": len(psnr),
        "dataset": {"test_fingerprint": images},
        "checkpoint": {"which": which, "step": step or steps[which], "weights": weights},
        "rows": {
            "model": {
                "psnr_db": {"mean": psnr.mean(), "low": psnr.min(), "high": psnr.max()},
                "ssim": {"mean": psnr.mean() / 100},
            }
        },
    }
    metrics |= {} if overrides is None else {"overrides": list(overrides)}
    metrics |= {} if own is None else {"own": own}
    Evaluation.of(run, name).write(metrics, {f"model.{c}": v for c, v in kept.items()})


def rows(folder):
    """The rows of a sweep's file, by the names of the jobs' folders."""
    saved = json.loads((folder / "sweep.json").read_text())
    return {row["folder"]: row for row in saved["jobs"]}


def damage(run, file, content):
    """Put text, bytes or JSON where a file was; None removes it."""
    path = run.path / file
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
