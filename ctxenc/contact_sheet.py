"""A contact sheet of a mask: validation masks, and the images that they are of."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from omegaconf import open_dict
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ctxenc import masks, runtime
from ctxenc.config import build, instantiate
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.data.images import decode, mean_colour
from ctxenc.errors import UserError
from ctxenc.report import grids

MEASURED, AT_ONCE = 1000, 100  # masks
COLUMNS = 8


class Drawing(NamedTuple):
    """A contact sheet, how much of the images is missing, and what it shows: DATASET-MASK."""

    sheet: Image.Image
    missing: str
    name: str


def draw(overrides: Sequence[str], count: int, columns: int = COLUMNS) -> Drawing:
    """Draw the contact sheet of a configuration's validation masks.

    Args:
        overrides: as on the command line of ``ctxenc.train``.
        count: images; fewer where the validation split has fewer.
        columns: images beside each other.

    Raises:
        UserError: bad input.
    """
    if count < 1:
        raise UserError(f"--images {count}: must be at least 1")
    runtime.check_settings()
    runtime.keep_programs()
    runtime.platform()
    composed = compose(overrides, with_hydra=True)
    with open_dict(composed):
        names = composed.pop("hydra").runtime.choices
    config = check(composed)
    strategy, size = instantiate.strategy(config.mask), config.image_size
    at_once = _at_once(size)
    shares = np.concatenate(
        [
            _drawn(strategy, np.arange(start, start + at_once), size).mean((1, 2, 3))
            for start in range(0, MEASURED, at_once)
        ]
    )
    missing = (
        f"missing: {shares.min():.1%} to {shares.max():.1%} of an image, mean {shares.mean():.1%}, "
        f"over {MEASURED} masks"
    )
    dataset = build.dataset(config)
    last = len(dataset.validation) - 1
    chosen = np.linspace(0, last, min(count, last + 1)).round().astype(int)
    mask = _drawn(strategy, chosen, size)
    fill = mean_colour(dataset.train) if config.fill_value == "mean" else [config.fill_value] * 3
    images = masks.to_float(jnp.asarray(decode(dataset.validation, chosen.tolist())))
    masked = masks.apply(images, jnp.asarray(mask), jnp.asarray(fill, jnp.float32))
    title = f"mask={names['mask']}, {dataset.name} at {size} px; {missing}"
    made = sheet(mask, np.asarray(masked), title, columns)
    return Drawing(made, missing, f"{names['dataset']}-{names['mask']}")


def _drawn(
    strategy: masks.MaskStrategy, indices: Int[np.ndarray, " n"], size: int
) -> Float[np.ndarray, "n size size 1"]:
    """The validation masks of those indices, some at a time: one program, compiled once."""
    at_once = _at_once(size)
    batches = np.resize(indices, (-(-len(indices) // at_once), at_once))  # repeats them
    found = [masks.frozen(strategy, jnp.asarray(batch), size, size) for batch in batches]
    return np.concatenate(found)[: len(indices)]


def _at_once(size: int) -> int:
    """How many masks are drawn at once: a divisor of `MEASURED`."""
    return AT_ONCE if size**2 * AT_ONCE <= masks.MOST_DRAWN else 4


def sheet(
    masks: Float[np.ndarray, "n height width 1"],
    masked: Float[np.ndarray, "n height width 3"],
    title: str,
    columns: int = COLUMNS,
) -> Image.Image:
    """Bands of up to `columns` masks, white where a pixel is missing, above their masked images.

    Args:
        masks: one or more.
        masked: as many images in [-1, 1].
        title: what is written above them.
        columns: images beside each other.
    """
    columns = min(columns, len(masks))
    paper = np.ones((-len(masks) % columns, *masked.shape[1:]))  # the last band's empty places
    kinds = [np.concatenate([tiles, paper]) for tiles in (masks.repeat(3, axis=3) * 2 - 1, masked)]
    rows = [
        tiles[start : start + columns] for start in range(0, len(masks), columns) for tiles in kinds
    ]
    picture = Image.fromarray(grids.grid(rows))
    lines = grids.wrapped(title, max(140, picture.width))
    border = grids.MARGIN, grids.MARGIN + grids.LINE * len(lines), grids.MARGIN, grids.MARGIN
    made = ImageOps.expand(picture, border, "white")
    font = ImageFont.load_default(14)
    at = grids.MARGIN + 2, grids.MARGIN
    ImageDraw.Draw(made).multiline_text(at, "\n".join(lines), "black", font)
    return made
