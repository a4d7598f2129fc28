"""Sliced Wasserstein distance between the patches of all fills and those of all real images.

It sees blur and false colours, and does not know whether the right thing is in the hole:
``docs/metrics.md`` says more.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

PATCH = 7  # pixels, as in Karras et al.; smaller where the hole is
DIRECTIONS = 256
PATCHES = 40_000  # a level, or a few more
MOST_IMAGES = 10_000  # evenly spread

_AT_ONCE = 64  # directions
_BLOCK = 64  # images whose places are drawn together, whatever the batch size

Images = Float[np.ndarray, "n height width 3"]
Points = Float[np.ndarray, "patches pixels 3"]
Places = tuple[Int[np.ndarray, "n per_image"], Int[np.ndarray, "n per_image"]]  # rows, columns


def pyramid(images: Images) -> list[Float[np.ndarray, "n _ _ 3"]]:
    """The Laplacian pyramid of Burt and Adelson (1983), finest level first.

    Levels are halved while both sides stay at least `PATCH`.
    """
    import cv2  # an eighth of a second, which other programs need not spend

    levels = []
    while min(images.shape[1:3]) >= 2 * PATCH:
        coarse = np.stack([cv2.pyrDown(image) for image in images])
        size = images.shape[2], images.shape[1]
        levels.append(images - np.stack([cv2.pyrUp(image, dstsize=size) for image in coarse]))
        images = coarse
    return [*levels, images]


def patches(level: Images, places: Places) -> Points:
    """The square patches of each image that begin at some places."""
    (count, height, width, _), (top, left) = level.shape, places
    size = min(PATCH, height, width)
    windows = np.lib.stride_tricks.sliding_window_view(level, (size, size), axis=(1, 2))
    picked = windows[np.arange(count)[:, None], top, left]  # (n, per_image, 3, size, size)
    return np.moveaxis(picked.reshape(top.size, 3, size * size), 1, 2)


@functools.lru_cache(maxsize=8)
def _places(
    seed: int, count: int, per_image: int, sizes: tuple[tuple[int, int], ...]
) -> list[Places]:
    """Random places in images of some heights and widths, which may repeat; by size."""
    rng, found = np.random.default_rng(seed), []
    for size in sizes:
        most = [side - min(PATCH, *size) + 1 for side in size]
        top, left = (rng.integers(0, side, (count, per_image)) for side in most)
        found.append((top, left))
    return found


def distances(real: Points, fakes: Sequence[Points]) -> list[float]:
    """The sliced Wasserstein distance of each set of patches to as many real ones, times 1,000.

    As in progressive GANs (Karras et al., 2018): patches are points, normalised by channel; the
    earth mover's distance of their projections, averaged over random directions. Unlike there, both
    sets are normalised by the real one's mean and standard deviation, so that a fill which is too
    flat or of another colour is not forgiven.
    """
    mean, deviation = real.mean((0, 1)), real.std((0, 1)) + 1e-8
    axes = np.random.default_rng(0).standard_normal((DIRECTIONS, real[0].size))
    axes = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).astype(np.float32)

    def projected(points: Points) -> Iterator[Float[np.ndarray, "axes patches"]]:
        """In ascending order, some of the axes at a time."""
        normalised = ((points - mean) / deviation).reshape(len(points), -1).astype(np.float32)
        for some in np.split(axes, range(_AT_ONCE, DIRECTIONS, _AT_ONCE)):
            yield np.sort(some @ normalised.T, axis=1)

    right, found = list(projected(real)), []
    for fake in fakes:
        apart = map(lambda one, other: np.abs(one - other), right, projected(fake))
        total = sum(a.mean(axis=1, dtype=np.float64).sum() for a in apart)
        found.append(1000 * float(total) / DIRECTIONS)
    return found


class SlicedWasserstein:
    """The distance of several methods' fills to the real pixels, gathered batch by batch."""

    def __init__(self, images: int):
        self._images, self._apart = images, math.ceil(images / MOST_IMAGES)
        self._per_image = math.ceil(PATCHES / math.ceil(images / self._apart))
        self._levels: dict[str, list[list[Points]]] = {}

    def look(self, row: str, start: int, images: Images, count: int) -> None:
        """Take patches of a batch of holes or whole images, at the same places for every row.

        The first has the index `start`; the row, a method or ``real``, is of `count` of them.
        """
        indices = np.arange(start, start + len(images))
        used = indices[indices % self._apart == 0]
        if not len(used):
            return
        levels = pyramid(images[used - start])
        places = self._places_in(used, tuple(level.shape[1:3] for level in levels))
        kept = self._per_image * int((used < start + count).sum())
        cut = [patches(level, at)[:kept] for level, at in zip(levels, places, strict=True)]
        self._levels.setdefault(row, []).append(cut)

    def _places_in(
        self, used: Int[np.ndarray, " n"], sizes: tuple[tuple[int, int], ...]
    ) -> list[Places]:
        """The places of some images, by level; an image's are the same in batches of any size."""
        blocks = range(int(used[0]) // _BLOCK * _BLOCK, int(used[-1]) + 1, _BLOCK)
        drawn, owners = [], []
        for first in blocks:
            whole = np.arange(first, min(first + _BLOCK, self._images))
            owners.append(whole[whole % self._apart == 0])
            drawn.append(_places(first, len(owners[-1]), self._per_image, sizes))
        wanted = np.isin(np.concatenate(owners), used)
        by_level = (zip(*of_blocks, strict=True) for of_blocks in zip(*drawn, strict=True))
        return [
            (np.concatenate(top)[wanted], np.concatenate(left)[wanted]) for top, left in by_level
        ]

    def figures(self) -> dict[str, dict[str, Any]]:
        """By row `swd`: `mean`, of the distances on all `levels`, finest first; and `images`."""
        whole = {
            row: [np.concatenate(level) for level in zip(*cuts, strict=True)]
            for row, cuts in self._levels.items()
        }
        real, found = whole.pop("real"), {}
        for count in {len(levels[0]) for levels in whole.values()}:
            rows = [row for row, levels in whole.items() if len(levels[0]) == count]
            by_level = [
                distances(level[:count], [whole[row][i] for row in rows])
                for i, level in enumerate(real)
            ]
            for row, levels in zip(rows, zip(*by_level, strict=True), strict=True):
                figure = {"mean": float(np.mean(levels)), "levels": list(levels)}
                found[row] = {"swd": {**figure, "images": count // self._per_image}}
        return found
