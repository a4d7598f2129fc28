"""The picture of an evaluation: images that the model fills best, as usual, and worst."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

from ctxenc.report import grids
from ctxenc.runs.files import whole

EACH = 4  # columns
ROWS = ("real", "masked", "filled")

_LINE, _LEFT, _BETWEEN = 22, 58, 26  # pixels: a line of text, row names, space between groups


def choose(
    psnr: Float[np.ndarray, " images"], each: int = EACH
) -> dict[str, Int[np.ndarray, " n"]]:
    """Indices of the `best`, `median` and `worst` images; fewer of each where there are few."""
    order = np.argsort(-psnr, kind="stable")
    count = max(1, min(each, len(order) // 3))
    middle = (len(order) - count) // 2
    return {
        "best": order[:count],
        "median": order[middle : middle + count],
        "worst": order[-count:],
    }


def save(
    file: Path,
    groups: dict[str, list[Float[np.ndarray, "n height width 3"]]],
    psnr: dict[str, Float[np.ndarray, " n"]],
) -> None:
    """Write the picture as a PNG, whole or not at all.

    Args:
        file: where.
        groups: by name, the images in [-1, 1] of each of `ROWS`.
        psnr: by name, what is written above each column, in dB.
    """
    pictures = {name: Image.fromarray(grids.grid(rows)) for name, rows in groups.items()}
    width = _LEFT + sum(p.width for p in pictures.values()) + _BETWEEN * (len(pictures) - 1)
    height = 2 * _LINE + max(p.height for p in pictures.values())
    canvas = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    x = _LEFT
    for name, picture in pictures.items():
        canvas.paste(picture, (x, 2 * _LINE))
        draw.text((x + picture.width / 2, 2), f"{name} by PSNR", "black", font, anchor="ma")
        each = picture.width / len(psnr[name])
        for column, value in enumerate(psnr[name]):
            at = (x + (column + 0.5) * each, _LINE + 2.0)
            draw.text(at, f"{value:.1f} dB", "dimgrey", font, anchor="ma")
        x += picture.width + _BETWEEN
    for row, label in enumerate(ROWS):
        at = (4.0, 2 * _LINE + (row + 0.5) * (height - 2 * _LINE) / len(ROWS))
        draw.text(at, label, "black", font, anchor="lm")
    with whole(file) as temporary:
        canvas.save(temporary, format="PNG")
