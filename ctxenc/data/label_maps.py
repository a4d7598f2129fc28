"""Shapes from a folder of segmentation maps: PNG files with one label per pixel."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy import ndimage

from ctxenc.data.image_files import MOST_PIXELS, decoding
from ctxenc.data.walk import files_below
from ctxenc.errors import UserError
from ctxenc.paths import expanded

SIDE = 64  # pixels, after its bounding box is stretched to a square: shapes take 512 bytes each
FINEST = 160  # pixels of a map's shorter side that are looked at, or up to twice as many
SMALLEST, LARGEST = 0.005, 0.5  # shares of a map: a speck is no shape, and background is none
MOST_MAPS = 1000  # of more, this many are read, evenly spread
MOST_SHAPES = 4096  # likewise: 2 MiB
MOST_LABELS = 65_535  # of one map
MODES = ("1", "L", "P", "I", "I;16", "I;16B")


class Shapes(NamedTuple):
    """Segments, each stretched from its bounding box to `SIDE` × `SIDE`."""

    bits: UInt8[np.ndarray, "shapes side bytes"]  # rows of pixels packed, 1 inside of the segment
    aspect: Float[np.ndarray, " shapes"]  # height over width of the bounding boxes


def read_shapes(folder: str | Path) -> Shapes:
    """The segments of every label map below a folder, in the order of the files' names.

    A segment is all pixels of one label, 0 excepted, where these are between `SMALLEST` and
    `LARGEST` of the map.

    Raises:
        UserError: There are none, or a file is damaged, too large or not a label map.
    """
    root = expanded(folder)
    if not str(folder) or not root.is_dir():
        raise UserError(f"mask.folder={folder}: no such folder; expected one of label maps (PNG)")
    found = sorted(f for f in files_below(root) if f.suffix.lower() == ".png" and f.is_file())
    if not found:
        raise UserError(f"mask.folder={folder}: no PNG files below it; expected label maps")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        each = pool.map(lambda file: list(_segments(_labels(file))), _some(found, MOST_MAPS))
        shapes = _some([shape for of_one_map in each for shape in of_one_map], MOST_SHAPES)
    if not shapes:
        raise UserError(
            f"mask.folder={folder}: expected segments (pixels of one label other than 0) of "
            f"{SMALLEST:.1%} to {LARGEST:.0%} of a map; none in {len(found)} label maps is so large"
        )
    bits, aspect = zip(*shapes, strict=True)
    return Shapes(np.stack(bits), np.array(aspect, np.float32))


def _some(things: list, most: int) -> list:
    """All, or `most` of them, evenly spread."""
    if len(things) <= most:
        return things
    return [things[i] for i in np.linspace(0, len(things) - 1, most).round().astype(int)]


def _labels(file: Path) -> Int[np.ndarray, "height width"]:
    """A label map's labels; a palette's indices, not its colours."""
    try:
        with Image.open(file, formats=("PNG",)) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width} × {height} pixels; expected at most {MOST_PIXELS:,}")
            if image.mode not in MODES:
                raise ValueError(
                    f"{image.mode} pixels; expected one whole number per pixel (grey or palette)"
                )
            step = max(1, min(image.size) // FINEST)
            with decoding(image.width * image.height):
                return np.asarray(image)[::step, ::step].astype(np.int32)
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise UserError(f"{file}: cannot be read as a label map: {error}") from error


def _segments(
    labels: Int[np.ndarray, "height width"],
) -> Iterator[tuple[UInt8[np.ndarray, "side bytes"], float]]:
    """(packed pixels, height over width) of each segment of a fitting size."""
    labels = np.where((labels > 0) & (labels <= MOST_LABELS), labels, 0)
    share = np.bincount(labels.ravel()) / labels.size
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is not None and SMALLEST <= share[label] <= LARGEST:
            inside = (labels[place] == label).astype(np.float32)
            method = cv2.INTER_AREA if min(inside.shape) >= SIDE else cv2.INTER_LINEAR
            square = cv2.resize(inside, (SIDE, SIDE), interpolation=method)
            yield np.packbits(square >= 0.5, axis=1), inside.shape[0] / inside.shape[1]
