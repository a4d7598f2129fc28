"""From any mask to the rectangles that are filled one after the other.

A rectangle stands for all missing pixels in it: they are missing whichever shape they belong to,
and the model predicts the whole rectangle anyway.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8

from ctxenc.inpainting import PixelMask

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

    def __str__(self) -> str:
        return f"{self.width}×{self.height} pixels at {self.left},{self.top}"

    def scale(self, box: tuple[int, int]) -> float:
        """Photograph pixels to a model pixel, so that the hole fits the model's `box`."""
        return max(1.0, self.height / box[0], self.width / box[1])


def find(missing: PixelMask, box: tuple[int, int]) -> list[Hole]:
    """Rectangles that hold every missing pixel, largest first.

    One for each connected shape (8 neighbours). Long thin shapes, such as a scratch, are cut into
    pieces that the model sees at a smaller scale; shapes that fit the model's box together at
    scale 1 are joined. `box` is the height and width of what the model predicts, in its own pixels.
    """
    coarse, block = _in_blocks(missing)
    _, labels, found, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    distance = cv2.distanceTransform(coarse, cv2.DIST_L2, 3)
    holes: list[Hole] = []
    for label, (left, top, width, height, _) in enumerate(found.tolist()[1:], start=1):
        hole = _tight(missing, top * block, left * block, height * block, width * block)
        pieces = [hole]
        if hole.scale(box) > WORTH_CUTTING:
            place = slice(top, top + height), slice(left, left + width)
            thickness = 2 * float(distance[place][labels[place] == label].max()) * block
            # A piece may be twice as large as the shape is thick: real pixels lie beside it then.
            scale = max(1.0, 2 * thickness / min(box))
            if hole.scale(box) > WORTH_CUTTING * scale:
                pieces = _cut(missing, hole, [math.floor(side * scale) for side in box])
        holes += pieces
    return sorted(_joined(holes, box), key=lambda h: (-h.height * h.width, h.top, h.left))


def grown(missing: PixelMask, pixels: int) -> PixelMask:
    """The missing pixels, and all that are at most `pixels` away from one: dilated by a disc."""
    if not pixels or not missing.any():
        return missing
    far = cv2.distanceTransform((~missing).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far <= pixels + 1e-3)


def count(missing: PixelMask) -> int:
    """How many connected shapes (8 neighbours) are missing; in large masks, in blocks as `find`."""
    return cv2.connectedComponents(_in_blocks(missing)[0], connectivity=8)[0] - 1


def _in_blocks(missing: PixelMask) -> tuple[UInt8[np.ndarray, "rows columns"], int]:
    """1 for every block × block pixels of which one or more are missing; and block."""
    block = max(1, math.ceil(math.sqrt(missing.size / MOST_LABELLED)))
    height, width = missing.shape
    rows = np.logical_or.reduceat(missing, np.arange(0, height, block), axis=0)
    return np.logical_or.reduceat(rows, np.arange(0, width, block), axis=1).astype(np.uint8), block


def _tight(missing: PixelMask, top: int, left: int, height: int, width: int) -> Hole:
    """The smallest rectangle around a rectangle's missing pixels; of height 0 where it has none."""
    part = missing[top : top + height, left : left + width]
    x, y, wide, high = cv2.boundingRect(part.view(np.uint8))
    return Hole(top + y, left + x, high, wide)


def _cut(missing: PixelMask, hole: Hole, largest: list[int]) -> list[Hole]:
    """The hole in pieces of one size, at most the `largest` height and width."""
    high, wide = (
        math.ceil(side / math.ceil(side / most))
        for side, most in zip((hole.height, hole.width), largest, strict=True)
    )
    pieces = [
        _tight(missing, top, left, min(high, hole.bottom - top), min(wide, hole.right - left))
        for top in range(hole.top, hole.bottom, high)
        for left in range(hole.left, hole.right, wide)
    ]
    return [piece for piece in pieces if piece.height]


def _joined(holes: list[Hole], box: tuple[int, int]) -> list[Hole]:
    """Those that fit the model's box together at scale 1 as one, the others as they are."""
    joined = [hole for hole in holes if hole.scale(box) > 1]
    small = [hole for hole in holes if hole.scale(box) == 1]
    # Lower right corners are negative, so that the rectangle around several is their minimum.
    corners = np.array([(h.top, h.left, -h.bottom, -h.right) for h in small]).reshape(-1, 4)

    def fits(around: Int[np.ndarray, "n 4"]) -> Bool[np.ndarray, " n"]:
        return (-around[:, 2:] - around[:, :2] <= np.array(box)).all(axis=1)

    while len(corners):
        group, apart = corners[:1], np.ones(len(corners), bool)
        for other in np.flatnonzero(fits(np.minimum(group, corners))):
            together = np.minimum(group, corners[[other]])
            if fits(together):
                group, apart[other] = together, False
        top, left, bottom, right = np.abs(group[0]).tolist()
        joined.append(Hole(top, left, bottom - top, right - left))
        corners = corners[apart]
    return joined
