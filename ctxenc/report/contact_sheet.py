"""A contact sheet: masks, and images without what they hide, under a line of text."""

import textwrap
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from ctxenc.report import grids
from ctxenc.runs.atomic_write import whole

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
    colours = np.repeat(masks * 2 - 1, 3, axis=-1)
    columns = min(COLUMNS, len(masks))
    spare = -len(masks) % columns  # the last band's empty places
    paper = np.ones((spare, *masked.shape[1:]))
    rows = [
        np.concatenate([kind, paper])[start : start + columns]
        for start in range(0, len(masks), columns)
        for kind in (colours, masked)
    ]
    picture = Image.fromarray(grids.grid(rows))
    font = ImageFont.load_default(14)
    letters = max(20, picture.width // 7)  # no letter is wider than 14 pixels, the mean is near 7
    lines = textwrap.wrap(title, letters)
    width, top = picture.width + 2 * MARGIN, MARGIN + LINE * len(lines)
    made = Image.new("RGB", (width, top + picture.height + MARGIN), "white")
    made.paste(picture, (MARGIN, top))
    draw = ImageDraw.Draw(made)
    for number, line in enumerate(lines):
        draw.text((MARGIN + 2, MARGIN + number * LINE), line, "black", font)
    return made


def save(file: Path, made: Image.Image) -> None:
    """Write it as a PNG, whole or not at all."""
    with whole(file) as temporary:
        made.save(temporary, format="PNG")
