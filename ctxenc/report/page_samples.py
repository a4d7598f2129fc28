"""The sample grids of runs cut into strips, so that a page can put one run's fills below another's.

A grid has three rows, real, masked and filled; the first is the same in runs whose test images are.
"""

import base64
import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ctxenc.comparison.records import Record
from ctxenc.report.grids import GAP

ROWS = 3
WIDEST = 1024  # pixels of one strip
LARGEST = 50_000_000  # pixels of a grid that is still opened
BUDGET = 24_000_000  # bytes of pixels on one page

Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Strips:
    """One run's last sample grid, a row of images each. `same` is equal where the real ones are."""

    step: int
    same: str
    real: Picture
    masked: Picture
    filled: Picture

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.real.shape[1]

    @property
    def height(self) -> int:
        """Pixels of a row."""
        return self.real.shape[0]


def strips(record: Record) -> Strips | None:
    """The rows of a run's last sample grid; None where there is none that can be read."""
    try:
        inside = Path(record.settings.values.get("samples_dir", "samples")).expanduser()
        folder = record.run.path / inside
        steps = sorted(
            (int(f.stem), f) for f in folder.glob("*.png") if f.stem.isdecimal() and f.is_file()
        )
    except (OSError, ValueError, RuntimeError):  # RuntimeError: the home of nobody
        return None
    for step, file in reversed(steps):
        picture = _read(file)
        rows = None if picture is None else cut(picture)
        if rows is not None:
            same = hashlib.sha256(rows[0].tobytes()).hexdigest()
            return Strips(step, same, *rows)
    return None


def cut(picture: Picture) -> list[Picture] | None:
    """The three rows of a grid at the images' own size; None if it is no such grid.

    Small images are enlarged in a grid by repeating pixels; here that is undone, exactly.
    """
    factor = _repeats(picture)
    small = picture[::factor, ::factor]
    height, left = divmod(len(small) - GAP, ROWS)
    if left or height <= GAP:
        return None
    found = [small[GAP + row * height : (row + 1) * height, GAP:-GAP] for row in range(ROWS)]
    return found if found[0].size else None


def _repeats(picture: Picture) -> int:
    """How many times the grid's white border is repeated, by which all of it is."""
    border = int((picture == 255).all(axis=(1, 2)).argmin())
    factor = max(1, border // GAP)
    height, width = (side - side % factor for side in picture.shape[:2])
    tiles = picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    alike = (height, width) == picture.shape[:2] and (tiles == tiles[:, :1, :, :1]).all()
    return factor if alike else 1


def uri(row: Picture) -> str:
    """A row as a PNG in a data URI, its gaps clear so that they have the colour of the page."""
    image = Image.fromarray(_see_through(row))
    if image.width > WIDEST:
        height = max(1, round(image.height * WIDEST / image.width))
        image = image.resize((WIDEST, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def _see_through(row: Picture) -> UInt8[np.ndarray, "height width 4"]:
    height, width = row.shape[:2]
    clear = np.full((height, width, 1), 255, np.uint8)
    if (width + GAP) % (height + GAP) == 0:  # images are square
        for left in range(height, width, height + GAP):
            clear[:, left : left + GAP] = 0
    return np.concatenate([row, clear], axis=2)


def _read(file: Path) -> Picture | None:
    """The picture, unless it is damaged or far too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=["PNG"]) as image:
                if image.width * image.height > LARGEST:
                    return None
                return np.asarray(image.convert("RGB"))
    except Exception:  # Pillow raises many kinds for damaged files
        return None
