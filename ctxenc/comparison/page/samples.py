"""The sample grids of runs cut into strips, so that a page can put one run's fills below another's.

A grid has three rows, real, masked and filled; the first is the same in runs that were
tested on the same images.
"""

import base64
import hashlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

from ctxenc.comparison.records import Record
from ctxenc.errors import UserError
from ctxenc.report.grids import GAP, bare

ROWS = 3
WIDEST = 1024  # pixels of one strip
LARGEST = 50_000_000  # pixels of a grid that is still opened
SMALL = 96  # pixels: below, an image is shown enlarged
BUDGET, LEAST, OF_A_RUN = 2_500_000, 400_000, 2_100  # bytes of fills; runs need room too

Part = Callable[[Image.Image], Image.Image]
Grid = UInt8[np.ndarray, "rows columns 3"]
Strip = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Strips:
    """One run's last sample grid, a row of square images each, at the images' own size.

    `same` is equal where the real images are.
    """

    step: int
    same: str
    real: Strip
    masked: Strip
    filled: Strip


class Budget:
    """What is left of the room for pictures on one page; False where there is none."""

    def __init__(self, runs: int) -> None:
        self.left = max(LEAST, BUDGET - OF_A_RUN * runs)

    def __bool__(self) -> bool:
        return self.left > 0

    def taken(self, picture: Markup) -> Markup:
        """The picture, its size taken away."""
        self.left -= len(picture)
        return picture


def last_strips(record: Record) -> Strips | None:
    """The rows of a run's last sample grid; None where there is none that can be read."""
    size = record.dataset.get("image_size")
    for step, picture in pictures(record, bare):
        if rows := _cut(np.asarray(picture), size):
            return Strips(step, hashlib.sha256(rows[0].tobytes()).hexdigest(), *rows)
    return None


def pictures(record: Record, part: Part = lambda all_: all_) -> Iterator[tuple[int, Image.Image]]:
    """(step, RGB) of the sample grids of a run that can be read, or a part, the last one first."""
    try:
        folder = record.run.inside(record.settings.values.get("samples_dir", "samples"))
        files = [f for f in folder.glob("*.png") if f.stem.isdecimal() and f.is_file()]
        steps = sorted((int(f.stem), f) for f in files)
    except (UserError, OSError, ValueError):  # no name of a folder
        return
    for step, file in reversed(steps):
        if (picture := _read(file, part)) is not None:
            yield step, picture


def uri(row: Strip) -> Markup:
    """A row as a picture in a data URI, its gaps clear so that they have the colour of the page.

    Small images keep each pixel; of larger ones nobody would see what WebP leaves out.
    """
    size, width = row.shape[:2]
    clear = np.where(np.arange(width) % (size + GAP) < size, 255, 0).astype(np.uint8)
    image = Image.fromarray(np.dstack([row, np.broadcast_to(clear, (size, width))]))
    if image.width > WIDEST:
        height = max(1, round(image.height * WIDEST / image.width))
        image = image.resize((WIDEST, height), Image.Resampling.LANCZOS)
    return encoded(image, lossless=size < SMALL)


def encoded(image: Image.Image, *, lossless: bool) -> Markup:
    """A picture as a data URI."""
    out = io.BytesIO()
    image.save(out, format="WEBP", lossless=lossless, quality=85, method=2)
    return Markup(f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}")


def _read(file: Path, part: Part) -> Image.Image | None:
    """The picture, unless it is damaged or far too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=["PNG"]) as image:
                if image.width * image.height > LARGEST:
                    return None
                return part(image).convert("RGB")
    except Exception:  # Pillow raises many kinds for damaged files
        return None


def _cut(grid: Grid, size: object) -> list[Strip]:
    """The rows of a grid of images of that size, where it is one.

    A grid repeats the pixels of small images to enlarge them; here that is undone.
    """
    if not isinstance(size, int) or size < 1:
        return []
    repeats, left = divmod(len(grid), ROWS * (size + GAP) + GAP)
    if left or not repeats or grid.shape[1] <= 2 * GAP * repeats:
        return []
    small = grid[::repeats, ::repeats]
    tops = (GAP + row * (size + GAP) for row in range(ROWS))
    return [small[top : top + size, GAP:-GAP] for top in tops]
