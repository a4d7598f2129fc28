"""Grids of images: a column an image, a row each for what is shown of it, named and captioned."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ctxenc.errors import printable
from ctxenc.run_folder.files import whole

GAP = 2  # pixels of white between tiles, before scaling
SMALLEST_TILE = 96  # pixels: smaller images are enlarged by a whole factor, so they can be seen
PLACE = "grid"  # of a PNG: its text with this name is the bare grid's left, top, right and bottom

LINE = 22  # pixels: a line of text
MARGIN = 8  # pixels
NARROWEST = 400  # pixels that a title may take, however narrow the grid
_LEFT = 80  # pixels: the rows' names

Rows = Mapping[str, Float[np.ndarray, "n h w 3"]]


def grid(rows: Sequence[Float[np.ndarray, "n h w 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """Images in [-1, 1], one entry a row, side by side with white gaps, enlarged if small."""
    below_and_right = ((0, 0), (0, GAP), (0, GAP), (0, 0))
    bands = []
    for row in rows:
        tiles = np.round((np.clip(row, -1, 1) + 1) * 127.5).astype(np.uint8)
        bands.append(np.concatenate(np.pad(tiles, below_and_right, constant_values=255), axis=1))
    above_and_left = ((GAP, 0), (GAP, 0), (0, 0))
    picture = np.pad(np.concatenate(bands), above_and_left, constant_values=255)
    scale = max(1, -(-SMALLEST_TILE // rows[0].shape[1]))
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def wrapped(title: str, width: int) -> list[str]:
    """The lines of a title in letters of 14 pixels: none is wider than that, the mean is near 7."""
    texts = [textwrap.wrap(printable(text), width // 7) for text in title.split("\n")]
    return [line for lines in texts for line in lines]


def captioned(title: str, rows: Rows, captions: Sequence[str]) -> Image.Image:
    """The grid of some rows, their names on the left, a title above and a caption below a column.

    The grid's place is in the picture's `info` as `PLACE`: what reads a saved one need not know
    how much is written around it.
    """
    bare, font = Image.fromarray(grid(list(rows.values()))), ImageFont.load_default(14)
    lines = wrapped(title, max(_LEFT + bare.width, NARROWEST))
    top, each = LINE * len(lines), (bare.height / len(rows), bare.width / len(captions))
    width = max(_LEFT + bare.width, *(MARGIN + round(font.getlength(line)) for line in lines), 0)
    top += MARGIN * bool(lines)
    picture = Image.new("RGB", (width + MARGIN, top + bare.height + LINE), "white")
    picture.paste(bare, (_LEFT, top))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + number * LINE), line, "black", font)
    for number, name in enumerate(rows):
        draw.text((MARGIN, top + (number + 0.5) * each[0]), name, "black", font, anchor="lm")
    for number, caption in enumerate(captions):
        at = _LEFT + (number + 0.5) * each[1], float(top + bare.height)
        draw.text(at, caption, "dimgrey", font, anchor="ma")
    picture.info[PLACE] = f"{_LEFT} {top} {_LEFT + bare.width} {top + bare.height}"
    return picture


def joined(pictures: Sequence[Image.Image], axis: int) -> Image.Image:
    """Pictures below each other (axis 0) or side by side (1), with the first one's `info`."""
    sizes = np.array([picture.size[::-1] for picture in pictures])
    across = sizes.max(axis=0)
    across[axis] = sizes[:, axis].sum()
    sheet = Image.new("RGB", tuple(across[::-1].tolist()), "white")
    for picture, before in zip(pictures, np.cumsum(sizes[:, axis]) - sizes[:, axis], strict=True):
        sheet.paste(picture, (0, int(before)) if axis == 0 else (int(before), 0))
    sheet.info.update(pictures[0].info)
    return sheet


def save(file: Path, picture: Image.Image) -> None:
    """Write a picture as a PNG, whole or not at all."""
    text = PngInfo()
    if PLACE in picture.info:
        text.add_text(PLACE, picture.info[PLACE])
    with whole(file) as temporary:
        picture.save(temporary, format="PNG", pnginfo=text)


def bare(picture: Image.Image) -> Image.Image:
    """The grid without what is written around it; pictures of earlier versions are bare."""
    if PLACE not in picture.info:
        return picture
    left, top, right, bottom = map(int, picture.info[PLACE].split())
    return picture.crop((left, top, min(right, picture.width), min(bottom, picture.height)))
