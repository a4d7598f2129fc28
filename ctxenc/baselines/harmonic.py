"""The smoothest membrane."""

import numpy as np
from jaxtyping import Float

from ctxenc.baselines.contract import Composites, Hole, Images, Missing, by_hole, to_float

_KEPT = 2**17  # missing pixels of the factorised systems that are kept: some 100 MB
_AT_ONCE = 24  # columns: SuperLU takes a hundred times as long for 192 of them at once


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

    def _system(self, hole: Hole) -> "Laplace":
        key = hole.tobytes()
        if key not in self._systems:
            while len(self._systems) * hole.sum() > _KEPT:
                self._systems.pop(next(iter(self._systems)))
            self._systems[key] = Laplace(hole)
        return self._systems[key]


class Laplace:
    """The Laplace equation of one hole, factorised."""

    def __init__(self, hole: Hole):
        from scipy.sparse.linalg import LaplacianNd, splu

        grid = LaplacianNd(hole.shape, boundary_conditions="neumann", dtype=float).tosparse()
        inside, outside = hole.ravel().nonzero()[0], (~hole).ravel().nonzero()[0]
        equations = grid.tocsr()[inside]
        self._outside, self._onto = outside, -equations[:, outside]
        self._factors = splu(equations[:, inside].tocsc())

    def solve(
        self, pixels: Float[np.ndarray, "pixels columns"]
    ) -> Float[np.ndarray, "missing columns"]:
        """The missing pixels, in reading order; those of `pixels` are not read."""
        right = self._onto @ pixels[self._outside].astype(float)
        parts = range(0, right.shape[1], _AT_ONCE)
        return np.hstack([self._factors.solve(right[:, p : p + _AT_ONCE]) for p in parts])
