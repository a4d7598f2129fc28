"""The square crop that a model is given for a hole, and the way back to the photograph.

A crop is a square of whole pixels around a hole, mirrored beyond the photograph's edges and reduced
to the model's size by area averages. On the way back any part of the model's image is enlarged by
itself, so that memory is bounded.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from ctxenc import masks
from ctxenc.inpainting import ModelImage, Photo, PixelMask
from ctxenc.inpainting.holes import Hole
from ctxenc.trained import TrainedModel

SAMPLE = 64  # training masks that show whether the box is always at one place
AT_ONCE = 2**22  # pixels of the crop, while it is reduced: bounds the memory

Shares = Float[np.ndarray, "size size"]  # of each model pixel, 0 to 1


@dataclass(frozen=True)
class ModelWindow:
    """What a model is given and what it fills, in the model's own pixels.

    It is given `size` × `size`, and fills a `box` (height and width) that may begin in the rows
    `tops` and the columns `lefts`: one of each for ``mask=center``, all that fit for
    ``mask=random``. Of the box a model of the `whole` image is shown what is known; to a model of
    holes, all of it is missing.
    """

    size: int
    box: tuple[int, int]
    tops: range
    lefts: range
    whole: bool = False

    @classmethod
    def of(cls, trained: TrainedModel) -> "ModelWindow":
        """A trained model's, whose box is only where its training masks had one.

        Where these had any shape, it is anywhere, and of half the image's side.
        """
        size, geometry = trained.config.image_size, trained.model.geometry
        if geometry.box is None:
            anywhere = range(size - size // 2 + 1)
            return cls(size, (size // 2, size // 2), anywhere, anywhere, whole=True)
        drawn = masks.frozen(trained.model.mask, jnp.arange(SAMPLE), size, size)
        corners, band = np.asarray(masks.corners(drawn)), geometry.band
        tops, lefts = (
            range(int(found[0]), int(found[0]) + 1)
            if (found == found[0]).all()
            else range(band, size - side + band + 1)
            for found, side in zip(corners.T, geometry.box, strict=True)
        )
        height, width = (side - 2 * band for side in geometry.box)
        return cls(size, (height, width), tops, lefts, whole=geometry.whole)


@dataclass(frozen=True)
class Crop:
    """The square of a photograph that a model is given for one hole.

    `photo` is the photograph's height and width. The square begins at `top` and `left`, negative
    where it is mirrored, and is `side` pixels of the photograph high and wide. `box` is the row and
    column of the model's image where its box begins.
    """

    hole: Hole
    window: ModelWindow
    photo: tuple[int, int]
    top: int
    left: int
    side: int
    box: tuple[int, int]

    @property
    def scale(self) -> float:
        """Photograph pixels to a model pixel."""
        return self.side / self.window.size

    @cached_property
    def shown(self) -> tuple[Int[np.ndarray, " side"], Int[np.ndarray, " side"]]:
        """The photograph's row that each of its rows shows, and likewise the columns."""
        at = np.add.outer((self.top, self.left), np.arange(self.side))
        period = 2 * np.array(self.photo)[:, None]
        rows, columns = np.minimum(at % period, -(at + 1) % period)
        return rows, columns

    @cached_property
    def extent(self) -> tuple[int, int, int, int]:
        """First and last row, first and last column of the photograph that are in it."""
        rows, columns = self.shown
        return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())

    def meets(self, other: "Crop") -> bool:
        """Whether they have pixels of the photograph in common."""
        a, b = self.extent, other.extent
        return a[0] <= b[1] and b[0] <= a[1] and a[2] <= b[3] and b[2] <= a[3]

    def reduce(self, photo: Photo, known: PixelMask) -> tuple[ModelImage, Shares]:
        """What is known of the photograph, as the model's pixels.

        Returns:
            (mean colours of the known part of each pixel, 0 where nothing is; how large it is).
        """
        (rows, columns), size, narrow = self.shown, self.window.size, []
        first, last, *_ = self.extent
        each = max(1, AT_ONCE // self.side)
        for top in range(first, last + 1, each):  # each row once, however often it is mirrored
            part = np.ix_(np.arange(top, min(top + each, last + 1)), columns)
            there = known[part][..., None].astype(np.float32)
            strip = np.concatenate([photo[part] * there, there], axis=2)
            narrow.append(cv2.resize(strip, (size, len(strip)), interpolation=cv2.INTER_AREA))
        shown = np.concatenate(narrow)[rows - first]
        total = cv2.resize(shown, (size, size), interpolation=cv2.INTER_AREA)
        share = total[..., -1]
        return total[..., :-1] / np.maximum(share, 1e-6)[..., None], share

    def enlarge(
        self, image: ModelImage, rows: slice, columns: slice
    ) -> Float[np.ndarray, "rows columns colours"]:
        """A part of the photograph as the model's image shows it, at full resolution.

        By cubic interpolation (Keys, 1981, a = -1/2); beyond the crop its edges go on.
        """
        # Interpolation is linear: its matrix is what it makes of the identity matrix.
        identity = Image.fromarray(np.eye(self.window.size, dtype=np.float32))
        resized = identity.resize((self.window.size, self.side), Image.Resampling.BICUBIC)
        down, across = (
            np.asarray(resized)[np.clip(np.arange(part.start, part.stop) - start, 0, self.side - 1)]
            for part, start in ((rows, self.top), (columns, self.left))
        )
        return np.einsum("yv,vuc,xu->yxc", down, image, across, optimize=True)


def crop_for(hole: Hole, window: ModelWindow, photo: tuple[int, int]) -> Crop:
    """The smallest square with the hole in the model's box, as little of it mirrored as can be."""
    # Each array has a value for the rows and one for the columns.
    low, extent = np.array([(hole.top, hole.left), (hole.height, hole.width)])
    size, box = window.size, np.array(window.box)
    earliest, latest = np.array([(at[0], at[-1]) for at in (window.tops, window.lefts)]).T
    middle, side = low + extent / 2, max(size, *(-(-size * extent // box)).tolist())
    while True:  # a few times, until the box of whole model pixels holds the hole
        room = np.array(photo) - side
        start = np.clip(np.round(middle - side / 2), np.minimum(0, room), np.maximum(0, room))
        begin = np.round((middle - start) * size / side - box / 2).astype(int)
        begin = np.clip(begin, earliest, latest)
        first, last = low + extent - (begin + box) * side // size, low + -begin * side // size
        if (first <= last).all():
            top, left = np.clip(start.astype(int), first, last).tolist()
            return Crop(hole, window, photo, top, left, side, tuple(begin.tolist()))
        side += 1
