"""A contact sheet: masks, and images without what they hide, under a line of text."""

import textwrap

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ctxenc.report import grids

COLUMNS = 8
MARGIN, LINE = 8, 22  # pixels


def sheet(
    masks: Float[np.ndarray, "n height width 1"],
    masked: Float[np.ndarray, "n height width 3"],
    title: str,
) -> Image.Image:
    """Bands of up to `COLUMNS` masks, white where a pixel is missing, above their masked images.

    Args:
        masks: one or more.
        masked: as many images in [-1, 1].
        title: what is written above them.
    """
    columns = min(COLUMNS, len(masks))
    paper = np.ones((-len(masks) % columns, *masked.shape[1:]))  # the last band's empty places
    kinds = [np.concatenate([tiles, paper]) for tiles in (masks.repeat(3, axis=3) * 2 - 1, masked)]
    rows = [
        tiles[start : start + columns] for start in range(0, len(masks), columns) for tiles in kinds
    ]
    picture = Image.fromarray(grids.grid(rows))
    # No letter is wider than 14 pixels, and the mean is near 7.
    lines = textwrap.wrap(title, max(20, picture.width // 7))
    border = MARGIN, MARGIN + LINE * len(lines), MARGIN, MARGIN
    made = ImageOps.expand(picture, border, "white")
    font = ImageFont.load_default(14)
    ImageDraw.Draw(made).multiline_text((MARGIN + 2, MARGIN), "\n".join(lines), "black", font)
    return made
