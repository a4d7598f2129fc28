"""From any mask to the rectangles that are filled one after the other.

A rectangle stands for all missing pixels in it: they are missing whichever shape they belong to,
and the model predicts the whole rectangle anyway.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int

MOST_LABELLED = 4_000_000  # pixels: larger masks are labelled in blocks, so that memory is bounded
WORTH_CUTTING = 1.5  # how much smaller the scale must become for a long hole to be cut


@dataclass(frozen=True)
class Hole:
    """A rectangle of a photograph, in pixels; what is missing in it is filled together."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The row below its last."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column right of its last."""
        return self.left + self.width

    def scale(self, box: tuple[int, int]) -> float:
        """Photograph pixels to a model pixel, so that the hole fits the model's `box`."""
        return max(1.0, self.height / box[0], self.width / box[1])


def find(missing: Bool[np.ndarray, "height width"], box: tuple[int, int]) -> list[Hole]:
    """Rectangles that hold every missing pixel, largest first.

    One for each connected shape (8 neighbours). Long thin shapes, such as a scratch, are cut into
    pieces that the model sees at a smaller scale; shapes that fit the model's box together at
    scale 1 are joined.

    Args:
        missing: which pixels are.
        box: height and width of what the model predicts, in its own pixels.
    """
    block = _block(missing)
    coarse = _any_of_blocks(missing, block)
    _, labels, found, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    distance = cv2.distanceTransform(coarse, cv2.DIST_L2, 3)
    holes: list[Hole] = []
    for label, (left, top, width, height, _) in enumerate(found.tolist()):
        if label == 0:
            continue  # what is there
        hole = _shrunk(missing, top * block, left * block, height * block, width * block)
        if hole is None:
            continue
        if hole.scale(box) > WORTH_CUTTING:
            place = slice(top, top + height), slice(left, left + width)
            reach = distance[place][labels[place] == label].max()
            holes += _cut(missing, hole, box, thickness=2 * float(reach) * block)
        else:
            holes.append(hole)
    holes = _joined(holes, box)
    return sorted(holes, key=lambda h: (-h.height * h.width, h.top, h.left))


def count(missing: Bool[np.ndarray, "height width"]) -> int:
    """How many connected shapes (8 neighbours) are missing; in large masks, in blocks as `find`."""
    return cv2.connectedComponents(_any_of_blocks(missing, _block(missing)), connectivity=8)[0] - 1


def _block(missing: Bool[np.ndarray, "height width"]) -> int:
    return max(1, math.ceil(math.sqrt(missing.size / MOST_LABELLED)))


def _any_of_blocks(
    missing: Bool[np.ndarray, "height width"], block: int
) -> Int[np.ndarray, "rows columns"]:
    """1 for every block × block pixels of which one or more are missing."""
    height, width = missing.shape
    rows = np.logical_or.reduceat(missing, np.arange(0, height, block), axis=0)
    return np.logical_or.reduceat(rows, np.arange(0, width, block), axis=1).astype(np.uint8)


def _shrunk(
    missing: Bool[np.ndarray, "height width"], top: int, left: int, height: int, width: int
) -> Hole | None:
    """The smallest rectangle around a rectangle's missing pixels; None where it has none."""
    part = missing[top : top + height, left : left + width]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    high, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    return Hole(top + int(rows[0]), left + int(columns[0]), high, wide)


def _cut(
    missing: Bool[np.ndarray, "height width"], hole: Hole, box: tuple[int, int], thickness: float
) -> Iterator[Hole]:
    """The hole, or its pieces where the scale that its thickness asks for is much smaller.

    A piece may be twice as large as the shape is thick: enough real pixels lie beside it then.
    """
    scale = max(1.0, 2 * thickness / min(box))
    if hole.scale(box) <= WORTH_CUTTING * scale:
        yield hole
        return
    rows = math.ceil(hole.height / math.floor(box[0] * scale))
    columns = math.ceil(hole.width / math.floor(box[1] * scale))
    high, wide = math.ceil(hole.height / rows), math.ceil(hole.width / columns)
    for top in range(hole.top, hole.bottom, high):
        for left in range(hole.left, hole.right, wide):
            height, width = min(high, hole.bottom - top), min(wide, hole.right - left)
            if piece := _shrunk(missing, top, left, height, width):
                yield piece


def _joined(holes: list[Hole], box: tuple[int, int]) -> list[Hole]:
    """Those that fit the model's box together at scale 1 as one, the others as they are."""
    small = [hole for hole in holes if hole.scale(box) == 1]
    corners = np.array([(h.top, h.left, h.bottom, h.right) for h in small]).reshape(-1, 4)
    free = np.ones(len(corners), bool)
    groups = []
    for first in range(len(corners)):
        if not free[first]:
            continue
        free[first] = False
        group = corners[first]
        for other in np.flatnonzero(free & _fits(group, corners, box)):
            if _fits(group, corners[other], box):
                group = _union(group, corners[other])
                free[other] = False
        top, left, bottom, right = group.tolist()
        groups.append(Hole(top, left, bottom - top, right - left))
    return [hole for hole in holes if hole.scale(box) > 1] + groups


def _union(a: Int[np.ndarray, " 4"], b: Int[np.ndarray, "*n 4"]) -> Int[np.ndarray, "*n 4"]:
    low, high = np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])
    return np.concatenate([low, high], axis=-1)


def _fits(
    a: Int[np.ndarray, " 4"], b: Int[np.ndarray, "*n 4"], box: tuple[int, int]
) -> Bool[np.ndarray, "*n"]:
    union = _union(a, b)
    return np.all(union[..., 2:] - union[..., :2] <= np.array(box), axis=-1)
