"""The contact sheet of a configuration's test masks, before any training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf

from ctxenc import masks
from ctxenc.comparison.settings import Settings
from ctxenc.config import build, instantiate
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.data.fingerprint import mean_colour
from ctxenc.data.images import decode
from ctxenc.errors import UserError
from ctxenc.masks import frozen
from ctxenc.report import contact_sheet
from ctxenc.runtime import compilation_cache

MEASURED = 1000  # masks


def show(overrides: Sequence[str], output: Path | None, count: int) -> tuple[str, Path]:
    """Write the contact sheet of a configuration's test masks.

    Args:
        overrides: as on the command line of ``ctxenc.train``.
        output: a PNG file; None: one in `experiments/masks/`, named after dataset and mask.
        count: images; fewer where the test split has fewer.

    Returns:
        (a line on how much of the images is missing, the file).

    Raises:
        UserError: bad input, before anything is written.
    """
    if count < 1:
        raise UserError(f"--images {count}: it takes 1 or more")
    if output is not None and (output.suffix.lower() != ".png" or output.is_dir()):
        raise UserError(f"--output {output}: it takes a .png file")
    compilation_cache.keep_programs()
    composed = compose(overrides)
    config = check(composed)
    strategy, size = instantiate.strategy(config.mask), config.image_size
    areas = np.concatenate(
        [
            np.asarray(frozen(strategy, jnp.arange(start, start + 100), size, size)).mean((1, 2, 3))
            for start in range(0, MEASURED, 100)
        ]
    )
    dataset = build.dataset(config)
    last = len(dataset.test) - 1
    chosen = np.linspace(0, last, min(count, last + 1)).round().astype(int)
    mask = frozen(strategy, jnp.asarray(chosen), size, size)
    colour = mean_colour(dataset.train) if config.fill_value == "mean" else [config.fill_value] * 3
    images = masks.to_float(jnp.asarray(decode(dataset.test, chosen.tolist())))
    masked = masks.apply(images, mask, jnp.asarray(colour, jnp.float32))
    names = _choices(composed)
    missing = (
        f"missing: {areas.min():.1%} to {areas.max():.1%} of an image, mean {areas.mean():.1%}, "
        f"over {MEASURED} masks"
    )
    title = f"mask={names['mask']}, {dataset.name} at {size} px; {missing}"
    file = output or Path("experiments", "masks", f"{names['dataset']}-{names['mask']}.png")
    contact_sheet.save(file, contact_sheet.sheet(np.asarray(mask), np.asarray(masked), title))
    return missing, file


def _choices(composed: DictConfig) -> Mapping[str, str]:
    """The names of the choices that the configuration's dataset and mask are."""
    groups = {key: OmegaConf.to_container(composed[key]) for key in ("dataset", "mask")}
    return Settings.of(groups).values
