"""Sample grids: a column an image, a row each for real, masked and filled."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ctxenc.runs.files import whole

GAP = 2  # pixels of white between tiles, before scaling
SMALLEST_TILE = 96  # pixels: smaller images are enlarged by a whole factor, so they can be seen


def grid(rows: list[Float[np.ndarray, "n h w 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """Images in [-1, 1], one list entry a row, side by side with white gaps, enlarged if small."""
    below_and_right = ((0, 0), (0, GAP), (0, GAP), (0, 0))
    bands = []
    for row in rows:
        tiles = np.round((np.clip(row, -1, 1) + 1) * 127.5).astype(np.uint8)
        bands.append(np.concatenate(np.pad(tiles, below_and_right, constant_values=255), axis=1))
    above_and_left = ((GAP, 0), (GAP, 0), (0, 0))
    picture = np.pad(np.concatenate(bands), above_and_left, constant_values=255)
    scale = max(1, -(-SMALLEST_TILE // rows[0].shape[1]))
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def save(file: Path, rows: list[Float[np.ndarray, "n h w 3"]]) -> None:
    """Write the grid of `rows` as a PNG, whole or not at all."""
    with whole(file) as temporary:
        Image.fromarray(grid(rows)).save(temporary, format="PNG")
