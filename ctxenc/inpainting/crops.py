"""Where the model looks, and the way between a photograph's pixels and the model's.

Both ways are linear and separable, so each is a matrix for the rows and one for the columns; this
takes any scale and position exactly, and any part of a large photograph by itself.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ctxenc import masks
from ctxenc.evaluation import test_split
from ctxenc.inpainting.holes import Hole
from ctxenc.trained import TrainedModel

ROWS_AT_ONCE = 256  # of the photograph, while it is reduced: bounds the memory


@dataclass(frozen=True)
class Sight:
    """What a model takes and gives: a square of `size` pixels, and a `box` to fill in it.

    `tops` and `lefts` are where the box may begin: one place each for ``mask=center``, all that
    fit for ``mask=random``. All of the box is missing to a model of holes; a model of `whole`
    images is shown what is known in it.
    """

    size: int
    box: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    whole: bool = False

    @classmethod
    def of(cls, trained: TrainedModel) -> "Sight":
        """A trained model's: it is asked for no place of the box that its masks never had.

        One whose masks had any shape is given holes in boxes of half its side, anywhere.
        """
        size, views = trained.config.image_size, trained.model.prediction
        if views.box is None:
            anywhere = tuple(range(size - size // 2 + 1))
            return cls(size, (size // 2, size // 2), anywhere, anywhere, whole=True)
        seen = test_split.frozen(trained.model.mask, jnp.arange(64), size)
        corners, band = np.asarray(masks.corners(seen)).T, views.band
        tops, lefts = (
            _places(found, band, size - side + band)
            for found, side in zip(corners, views.box, strict=True)
        )
        height, width = (side - 2 * band for side in views.box)
        return cls(size, (height, width), tops, lefts, whole=views.whole)


def _places(seen: Int[np.ndarray, " n"], first: int, last: int) -> tuple[int, ...]:
    return (int(seen[0]),) if (seen == seen[0]).all() else tuple(range(first, last + 1))


@dataclass(frozen=True)
class Axis:
    """One direction of a crop: model pixel i shows [start + i·scale, start + (i + 1)·scale).

    `length` is the photograph's, `size` the model's and `box` where the model's box begins.
    Beyond its edges the photograph is mirrored.
    """

    start: float
    scale: float
    size: int
    length: int
    box: int

    def reducing(self) -> tuple[Float[np.ndarray, "size used"], slice]:
        """Area averages: the matrix, and the photograph's rows (or columns) that it takes."""
        edges = self.start + self.scale * np.arange(self.size + 1)
        seen = np.arange(int(np.floor(edges[0])), int(np.ceil(edges[-1])))
        upper = np.minimum(edges[1:, None], seen + 1)
        overlap = np.maximum(upper - np.maximum(edges[:-1, None], seen), 0) / self.scale
        real = seen % (2 * self.length)
        real = np.minimum(real, 2 * self.length - 1 - real)
        used = slice(int(real.min()), int(real.max()) + 1)
        matrix = np.zeros((used.stop - used.start, self.size))
        np.add.at(matrix, real - used.start, overlap.T)
        return matrix.T.astype(np.float32), used

    def enlarging(self, first: int, last: int) -> Float[np.ndarray, "pixels size"]:
        """Cubic interpolation (Keys 1981, a = -1/2) at the photograph's pixels first … last - 1."""
        place = (np.arange(first, last) + 0.5 - self.start) / self.scale - 0.5
        base = np.floor(place).astype(int)
        t = (place - base)[:, None]
        near = np.concatenate(
            [
                ((-0.5 * t + 1) * t - 0.5) * t,
                (1.5 * t - 2.5) * t * t + 1,
                ((-1.5 * t + 2) * t + 0.5) * t,
                (0.5 * t - 0.5) * t * t,
            ],
            axis=1,
        )
        matrix = np.zeros((last - first, self.size))
        columns = np.clip(base[:, None] + np.arange(-1, 3), 0, self.size - 1)
        np.add.at(matrix, (np.arange(last - first)[:, None], columns), near)
        return matrix.astype(np.float32)

    def inside(self) -> Bool[np.ndarray, " size"]:
        """Which model pixels have their middle in the photograph."""
        middle = self.start + self.scale * (np.arange(self.size) + 0.5)
        return (middle >= 0) & (middle < self.length)

    @property
    def span(self) -> tuple[float, float]:
        """From where to where in the photograph it looks, mirrored pixels among them."""
        end = self.start + self.scale * self.size
        low, high = max(0.0, self.start), min(float(self.length), end)
        if self.start < 0:
            high = max(high, min(float(self.length), -self.start))
        if end > self.length:
            low = min(low, max(0.0, 2 * self.length - end))
        return low, high


@dataclass(frozen=True)
class Crop:
    """The square that the model sees for one hole."""

    hole: Hole
    rows: Axis
    columns: Axis

    @property
    def scale(self) -> float:
        """Photograph pixels to a model pixel."""
        return self.rows.scale

    @property
    def side(self) -> float:
        """Its side in the photograph's pixels."""
        return self.scale * self.rows.size

    def meets(self, other: "Crop") -> bool:
        """Whether they have pixels of the photograph in common."""
        return all(
            a.span[0] < b.span[1] and b.span[0] < a.span[1]
            for a, b in ((self.rows, other.rows), (self.columns, other.columns))
        )

    def reduce(
        self, photo: UInt8[np.ndarray, "height width c"], known: Bool[np.ndarray, "height width"]
    ) -> tuple[Float[np.ndarray, "size size c"], Float[np.ndarray, "size size"]]:
        """What is known of the photograph, as the model's pixels.

        Returns:
            (mean colour of each pixel's known part, 0 to 255, and 0 where nothing is known; the
            share that is known, 0 to 1).
        """
        down, rows = self.rows.reducing()
        across, columns = self.columns.reducing()
        channels = photo.shape[2]
        total = np.zeros((self.rows.size, self.columns.size, channels + 1), np.float32)
        for first in range(rows.start, rows.stop, ROWS_AT_ONCE):
            part = slice(first, min(first + ROWS_AT_ONCE, rows.stop))
            there = known[part, columns, None].astype(np.float32)
            strip = np.concatenate([photo[part, columns] * there, there], axis=2)
            weights = down[:, part.start - rows.start : part.stop - rows.start]
            total += np.einsum("yv,vuc,xu->yxc", weights, strip, across, optimize=True)
        share = total[..., channels]
        return total[..., :channels] / np.maximum(share, 1e-6)[..., None], share

    def enlarge(
        self, image: Float[np.ndarray, "size size c"], rows: slice, columns: slice
    ) -> Float[np.ndarray, "height width c"]:
        """A part of the photograph as the model's image shows it, at full resolution."""
        down = self.rows.enlarging(rows.start, rows.stop)
        across = self.columns.enlarging(columns.start, columns.stop)
        return np.einsum("yv,vuc,xu->yxc", down, image, across, optimize=True)


def place(hole: Hole, sight: Sight, height: int, width: int) -> Crop:
    """The crop for a hole: the hole in the model's box, and as little mirrored as can be."""
    scale = hole.scale(sight.box)
    return Crop(
        hole,
        _axis(hole.top, hole.bottom, scale, sight.size, sight.box[0], sight.tops, height),
        _axis(hole.left, hole.right, scale, sight.size, sight.box[1], sight.lefts, width),
    )


def _axis(
    low: int, high: int, scale: float, size: int, box: int, places: tuple[int, ...], length: int
) -> Axis:
    """Of the model's places for its box, that with the least beyond the photograph's edges.

    Where several have as little, the one nearest to the middle.
    """
    side = scale * size

    def of(begin: int) -> tuple[float, float, Axis]:
        first, last = high - (begin + box) * scale, low - begin * scale  # the hole is in the box
        middle = float(np.floor((first + last) / 2)) if scale == 1 else (first + last) / 2
        wanted = min(max(middle, 0.0), length - side) if side <= length else middle
        start = min(max(wanted, first), last)
        beyond = max(0.0, -start) + max(0.0, start + side - length)
        return beyond, abs(begin - (size - box) / 2), Axis(start, scale, size, length, begin)

    return min(map(of, places), key=lambda found: found[:2])[2]
