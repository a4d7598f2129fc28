"""The baselines and their registry; ridge regression, which is fitted, is in `ridge`.

Libraries are imported where they are needed: other programs need not spend the time.
"""

import functools
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.baselines.contract import (
    Baseline,
    Composites,
    Fill,
    Hole,
    Images,
    Missing,
    Progress,
    to_float,
)
from ctxenc.baselines.ridge import Ridge
from ctxenc.data.images import Images as Split
from ctxenc.data.images import mean_colour
from ctxenc.errors import UserError
from ctxenc.metrics.registry import MAIN, METRICS

TO_BEAT = ("context_mean", "harmonic")  # those that are named beside a model that trains
RADIUS = 3  # pixels: OpenCV's own example and most papers take this

_KEPT = 2**17  # missing pixels of the factorised systems that are kept: some 100 MB
_MOST_OF_MATRIX = 2**24  # values of a system solved for all boundaries: 128 MB
_AT_ONCE = 24  # columns: SuperLU takes a hundred times as long for 192 of them at once


class MeanColour:
    """The training split's mean colour."""

    def fit(self, train: Split, hole: Hole | None, progress: Progress) -> Fill:
        """The fill."""
        if not len(train):
            raise UserError("expected a training image or more, and there are none")
        colour = mean_colour(train).astype(np.float32)
        return lambda images, missing: np.where(missing[..., None], colour, to_float(images))


def context_mean(images: Images, missing: Missing) -> Composites:
    """The mean colour of each image's own visible pixels."""
    real, visible = to_float(images), ~missing[..., None]
    mean = (real * visible).sum((1, 2), keepdims=True) / visible.sum((1, 2), keepdims=True)
    return np.where(visible, real, mean.astype(np.float32))


def _by_opencv(method: str, images: Images, missing: Missing) -> Composites:
    import cv2

    filled, flag = images.copy(), getattr(cv2, method)

    def fill(index: int) -> None:
        image, hole = filled[index], missing[index]
        # Hidden, since OpenCV 5.0 reads missing pixels where a hole touches the border.
        image[hole] = np.round(image[~hole].mean(axis=0))
        filled[index] = cv2.inpaint(image, hole.astype(np.uint8), RADIUS, flag)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV releases the GIL
        list(pool.map(fill, range(len(images))))
    return to_float(filled)


telea = functools.partial(_by_opencv, "INPAINT_TELEA")
"""Fast marching (Telea, 2004)."""
navier_stokes = functools.partial(_by_opencv, "INPAINT_NS")
"""Isophotes carried into the hole (Bertalmio et al., 2001)."""


def biharmonic(images: Images, missing: Missing) -> Composites:
    """The smoothest thin plate: the biharmonic equation (Damelin and Hoang, 2018), by scikit-image.

    Images that share a hole are solved as channels of one, which is the same and faster.
    """
    from skimage.restoration import inpaint_biharmonic

    filled = to_float(images)
    for indices, hole in _by_hole(missing):
        channels = np.concatenate(list(filled[indices]), axis=-1).astype(float)
        solved = inpaint_biharmonic(channels, hole, channel_axis=-1)
        filled[indices] = np.stack(np.split(solved, len(indices), axis=-1))
    return filled


class Harmonic:
    """The smoothest membrane: every missing pixel is the mean of its neighbours (up, down, …).

    The discrete Laplace equation, solved exactly, with the visible neighbours as boundary; images
    that share a hole share one factorisation.
    """

    def __init__(self) -> None:
        self._systems: dict[bytes, Laplace] = {}

    def __call__(self, images: Images, missing: Missing) -> Composites:
        """The composites."""
        filled = to_float(images)
        for indices, hole in _by_hole(missing):
            key = hole.tobytes()
            if key not in self._systems:
                while len(self._systems) * hole.sum() > _KEPT:
                    self._systems.pop(next(iter(self._systems)))
                self._systems[key] = Laplace(hole)
            # The images that share the hole as channels of one.
            pixels = filled[indices].reshape(len(indices), hole.size, 3).transpose(1, 0, 2)
            solved = self._systems[key].solve(pixels.reshape(hole.size, -1))
            filled[indices[:, None], hole] = solved.reshape(-1, len(indices), 3).transpose(1, 0, 2)
        return filled


class Laplace:
    """The Laplace equation of one hole, factorised; for many images, as one matrix."""

    def __init__(self, hole: Hole):
        from scipy.sparse.linalg import LaplacianNd, splu

        grid = LaplacianNd(hole.shape, boundary_conditions="neumann", dtype=float).tosparse()
        inside, outside = np.flatnonzero(hole), np.flatnonzero(~hole)
        equations = grid.tocsr()[inside]
        self._rim = outside[np.unique(equations[:, outside].nonzero()[1])]
        self._onto = -equations[:, self._rim]
        self._factors = splu(equations[:, inside].tocsc())
        self._columns = 0  # that were asked for

    def solve(
        self, pixels: Float[np.ndarray, "pixels columns"]
    ) -> Float[np.ndarray, "missing columns"]:
        """The missing pixels, in reading order; those of `pixels` are not read."""
        rim = pixels[self._rim].astype(float)
        self._columns += rim.shape[1]
        # More than the matrix has, which answers all others, unless it is huge.
        if self._columns > len(rim) and self._onto.shape[0] * len(rim) <= _MOST_OF_MATRIX:
            return self._matrix @ rim
        return self._solved(self._onto @ rim)

    @functools.cached_property
    def _matrix(self) -> Float[np.ndarray, "missing rim"]:
        return self._solved(self._onto.toarray())

    def _solved(self, right: Float[np.ndarray, "missing columns"]) -> np.ndarray:
        parts = range(0, right.shape[1], _AT_ONCE)
        return np.hstack([self._factors.solve(right[:, p : p + _AT_ONCE]) for p in parts])


def _by_hole(missing: Missing) -> Iterator[tuple[np.ndarray, Hole]]:
    """(the images that share a hole, the hole), for every distinct hole."""
    holes, which = np.unique(missing, axis=0, return_inverse=True)
    for number, hole in enumerate(holes):
        yield np.flatnonzero(which.ravel() == number), hole


BASELINES: dict[str, Baseline] = {
    "mean_colour": Baseline("mean colour", MeanColour, when="training"),
    "context_mean": Baseline("context mean", context_mean, when="training"),
    "telea": Baseline("Telea", telea),
    "navier_stokes": Baseline("Navier-Stokes", navier_stokes),
    "harmonic": Baseline("harmonic", Harmonic, when="training", pixels=2**17),  # a second
    "biharmonic": Baseline("biharmonic", biharmonic, first=200),
    "ridge": Baseline("ridge", Ridge),
}
"""By the name that files, options and columns have."""


def title(row: str) -> str:
    """The name in tables of a row of an evaluation: the model, one of `BASELINES` or another's."""
    known = BASELINES.get(row)
    return known.title if known else row.rpartition(".")[2].replace("_", " ")


def to_beat(figures: Mapping[str, Any], metric: str = MAIN) -> dict[str, float]:
    """A metric's figures of the fills of `TO_BEAT`, by what is written of them.

    `figures` are those of the validation, by the baselines' names; `images`, of how many of the
    first images, where not of all.
    """
    found = {}
    for name in TO_BEAT:
        own = figures.get(name) or {}
        of = f" (first {own['images']} images)" if own.get("images") else ""
        # No thin hole has a sharpness.
        if (figure := own.get(metric)) is not None and math.isfinite(figure):
            found[f"{title(name)} {METRICS[metric].shown(figure)}{of}"] = figure
    return found
