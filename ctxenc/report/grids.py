"""Sample grids: a column an image, a row each for real, masked and filled."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ctxenc.runs.atomic_write import whole

GAP = 2  # pixels of white between tiles, before scaling
SMALLEST_TILE = 96  # pixels: smaller images are enlarged by a whole factor, so they can be seen


def grid(rows: list[Float[np.ndarray, "n h w 3"]]) -> UInt8[np.ndarray, "height width 3"]:
    """Images in [-1, 1], one list entry a row, side by side with white gaps, enlarged if small."""
    tiles = [np.round((np.clip(row, -1, 1) + 1) * 127.5).astype(np.uint8) for row in rows]
    count, height, width, _ = tiles[0].shape
    canvas = np.full(
        (len(tiles) * (height + GAP) + GAP, count * (width + GAP) + GAP, 3), 255, np.uint8
    )
    for r, row in enumerate(tiles):
        for c, tile in enumerate(row):
            top, left = GAP + r * (height + GAP), GAP + c * (width + GAP)
            canvas[top : top + height, left : left + width] = tile
    scale = max(1, -(-SMALLEST_TILE // height))
    return canvas.repeat(scale, axis=0).repeat(scale, axis=1)


def save(file: Path, rows: list[Float[np.ndarray, "n h w 3"]]) -> None:
    """Write the grid of `rows` as a PNG, whole or not at all."""
    with whole(file) as temporary:
        Image.fromarray(grid(rows)).save(temporary, format="PNG")
