"""Classical fills, which need no training: what a model has to beat to be worth its hours.

A fill is a function of (uint8 images, which of their pixels are missing) to composites in [-1, 1].
None of them sees a missing pixel.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, UInt8

Images = UInt8[np.ndarray, "n height width 3"]
Missing = Bool[np.ndarray, "n height width"]
Composites = Float[np.ndarray, "n height width 3"]
Fill = Callable[[Images, Missing], Composites]

RADIUS = 3  # pixels: OpenCV's own example and most papers take this

_KEPT = 2**17  # missing pixels of the factorised systems that are kept: some 100 MB


def telea(images: Images, missing: Missing) -> Composites:
    """Fast marching (Telea, 2004), by OpenCV."""
    import cv2

    return _by_opencv(images, missing, cv2.INPAINT_TELEA)


def navier_stokes(images: Images, missing: Missing) -> Composites:
    """Isophotes carried into the hole (Bertalmio et al., 2001), by OpenCV."""
    import cv2

    return _by_opencv(images, missing, cv2.INPAINT_NS)


def _by_opencv(images: Images, missing: Missing, method: int) -> Composites:
    import cv2  # an eighth of a second, which other programs need not spend

    filled = images.copy()

    def some(indices: np.ndarray) -> None:
        for index in indices:
            image, hole = filled[index], missing[index]
            # Covered, since OpenCV 5.0 reads missing pixels where a hole touches the border.
            image[hole] = np.round(image[~hole].mean(axis=0))
            filled[index] = cv2.inpaint(image, hole.astype(np.uint8), RADIUS, method)

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:  # OpenCV lets go of the interpreter
        list(pool.map(some, np.array_split(np.arange(len(images)), threads)))
    return to_float(filled)


class Harmonic:
    """The smoothest membrane: every missing pixel is the mean of its neighbours (up, down, …).

    The discrete Laplace equation with the visible neighbours' values as boundary; at the image's
    border, where a neighbour does not exist, the others count. Solved exactly; images that share
    a hole share one factorisation.
    """

    def __init__(self) -> None:
        self._systems: dict[bytes, Laplace] = {}

    def __call__(self, images: Images, missing: Missing) -> Composites:
        """The composites."""
        filled = to_float(images)
        flat = filled.reshape(len(filled), -1, 3)
        for indices, hole in by_hole(missing):
            pixels = flat[indices].transpose(1, 0, 2)
            solved = self._system(hole).solve(pixels.reshape(len(pixels), -1))
            inside = hole.ravel().nonzero()[0]
            flat[indices[:, None], inside] = solved.reshape(len(inside), -1, 3).transpose(1, 0, 2)
        return filled

    def _system(self, hole: Bool[np.ndarray, "height width"]) -> "Laplace":
        key = hole.tobytes()
        if key not in self._systems:
            while len(self._systems) * hole.sum() > _KEPT:
                self._systems.pop(next(iter(self._systems)))
            self._systems[key] = Laplace(hole)
        return self._systems[key]


class Laplace:
    """The Laplace equation of one hole, factorised."""

    def __init__(self, hole: Bool[np.ndarray, "height width"]):
        from scipy import sparse
        from scipy.sparse.linalg import splu

        height, width = hole.shape
        number = np.arange(hole.size).reshape(height, width)
        pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
        one = np.concatenate([a.ravel() for a, _ in pairs])
        other = np.concatenate([b.ravel() for _, b in pairs])
        ones = np.ones(len(one))
        adjacent = sparse.coo_array((ones, (one, other)), shape=(hole.size, hole.size))
        adjacent = (adjacent + adjacent.T).tocsr()
        inside = hole.ravel().nonzero()[0]
        degree = sparse.diags_array(np.asarray(adjacent.sum(axis=1)).ravel())
        touched = np.asarray(adjacent[inside].sum(axis=0)).ravel() > 0
        self._edge = (touched & ~hole.ravel()).nonzero()[0]
        self._onto = adjacent[inside][:, self._edge]
        self._factors = splu((degree.tocsr() - adjacent)[inside][:, inside].tocsc())

    def solve(
        self, pixels: Float[np.ndarray, "height*width columns"]
    ) -> Float[np.ndarray, "missing columns"]:
        """The missing pixels, in reading order; those of `pixels` are not read."""
        edge = pixels[self._edge].astype(float)
        if edge.shape[1] < edge.shape[0]:
            return self._factors.solve(self._onto @ edge)
        return self._from_edge @ edge

    @cached_property
    def _from_edge(self) -> Float[np.ndarray, "missing edge"]:
        """The solution as a matrix: many columns are multiplied far faster than solved for."""
        return self._factors.solve(self._onto.toarray())


def biharmonic(images: Images, missing: Missing) -> Composites:
    """The smoothest thin plate (Damelin and Hoang, 2018), by scikit-image.

    Images that share a hole are solved as channels of one, which is the same and faster.
    """
    from skimage.restoration import inpaint_biharmonic

    filled = to_float(images)
    for indices, hole in by_hole(missing):
        channels = np.concatenate(list(filled[indices]), axis=-1).astype(float)
        solved = inpaint_biharmonic(channels, hole, channel_axis=-1)
        filled[indices] = np.stack(np.split(solved, len(indices), axis=-1))
    return filled


def by_hole(
    missing: Missing,
) -> Iterator[tuple[np.ndarray, Bool[np.ndarray, "height width"]]]:
    """(the images that share a hole, the hole), for every distinct hole."""
    groups: dict[bytes, list[int]] = {}
    for index, hole in enumerate(missing):
        groups.setdefault(hole.tobytes(), []).append(index)
    for indices in groups.values():
        yield np.array(indices), missing[indices[0]]


def to_float(images: Images) -> Composites:
    """uint8 pixels as float32 in [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1.0
