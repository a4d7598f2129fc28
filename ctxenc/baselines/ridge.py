"""Ridge regression from an image's visible pixels to its missing ones: the best linear fill.

It needs one hole for all images. A trained network that stays below it has not learned what a
matrix has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ctxenc.baselines.contract import Composites, Hole, Images, Missing, Progress, to_float
from ctxenc.data.images import Images as Split
from ctxenc.data.images import decode
from ctxenc.errors import UserError

MOST_VALUES = 64 * 64 * 3  # an image: its normal equations take this number squared, 600 MB
MOST_IMAGES = 50_000  # evenly spread over a larger training split
HELD_OUT = 10  # every tenth training image chooses the penalty
PENALTIES = tuple(10.0**p for p in range(-5, 2))  # relative to the visible pixels' mean variance

_CHUNK = 2048  # images

Indices = Int[np.ndarray, " _"]


class Ridge:
    """The regression, fitted to the training split; no test image is touched."""

    def fit(self, train: Split, hole: Hole | None, progress: Progress) -> "Fitted":
        """The weights.

        The penalty is the one of `PENALTIES` with the least squared error on every tenth training
        image when fitted to the others; the weights are then fitted to all.

        Raises:
            UserError: masks that differ, images that are too large, or too few of them.
        """
        if hole is None:
            raise UserError("expected one hole for all images, and these masks differ")
        if train.image_size**2 * 3 > MOST_VALUES:
            raise UserError(f"expected images of at most {MOST_VALUES} values")
        if len(train) < 2:
            raise UserError("expected two training images or more")
        count = min(len(train), MOST_IMAGES)
        indices = np.linspace(0, len(train) - 1, count).round().astype(int)
        apart = np.arange(count) % HELD_OUT == min(HELD_OUT, count) - 1
        origin = _pixels(train, indices[:_CHUNK]).mean(axis=0)
        held_out = _moments(train, indices[apart], origin, lambda done: progress(done, count))
        read = held_out.images
        rest = _moments(train, indices[~apart], origin, lambda done: progress(read + done, count))
        visible, hidden = _split(hole)
        penalty = _best_penalty(rest, held_out, visible, hidden)
        whole = Moments(count, rest.sums + held_out.sums, rest.products + held_out.products)
        weights = _solve(whole, visible, hidden, penalty).astype(np.float32)
        return Fitted(hole, (origin + whole.mean).astype(np.float32), weights, penalty)


@dataclass(frozen=True)
class Fitted:
    """Missing pixels as `mean + weights.T @ (visible pixels - their mean)`, kept in [-1, 1]."""

    hole: Hole
    mean: Float[np.ndarray, " values"]
    weights: Float[np.ndarray, "visible missing"]
    penalty: float

    def __call__(self, images: Images, missing: Missing) -> Composites:
        """The composites of images that all have the fitted hole."""
        assert (missing == self.hole).all()
        flat = to_float(images).reshape(len(images), -1)
        visible, hidden = _split(self.hole)
        centred = flat[:, visible] - self.mean[visible]
        flat[:, hidden] = np.clip(centred @ self.weights + self.mean[hidden], -1, 1)
        return flat.reshape(images.shape)


@dataclass(frozen=True)
class Moments:
    """Sums over images of their values, and of the products of any two values."""

    images: int
    sums: Float[np.ndarray, " values"]
    products: Float[np.ndarray, "values values"]

    @property
    def mean(self) -> Float[np.ndarray, " values"]:
        """The mean image."""
        return self.sums / self.images

    def about(
        self, centre: Float[np.ndarray, " values"], rows: Indices, columns: Indices
    ) -> Float[np.ndarray, "rows columns"]:
        """Second moments about `centre` of some values with others, in float64."""
        block = self.products[np.ix_(rows, columns)].astype(np.float64)
        block /= self.images
        block -= np.outer(self.mean[rows], centre[columns])
        block -= np.outer(centre[rows], (self.mean - centre)[columns])
        return block


def _moments(
    train: Split,
    indices: Indices,
    origin: Float[np.ndarray, " values"],
    progress: Callable[[int], None],
) -> Moments:
    """Products in float32, chunk by chunk, of what differs from `origin`.

    An origin near the mean keeps the digits that would be lost when the mean is taken off.
    """
    values = train.image_size**2 * 3
    sums, products = np.zeros(values), np.zeros((values, values), np.float32)
    for start in range(0, len(indices), _CHUNK):
        chunk = _pixels(train, indices[start : start + _CHUNK]) - origin
        sums += chunk.sum(axis=0, dtype=np.float64)
        products += chunk.T @ chunk
        progress(min(start + _CHUNK, len(indices)))
    return Moments(len(indices), sums, products)


def _pixels(train: Split, indices: Indices) -> Float[np.ndarray, "n values"]:
    return to_float(decode(train, indices.tolist())).reshape(len(indices), -1)


def _best_penalty(fitted: Moments, held_out: Moments, visible: Indices, hidden: Indices) -> float:
    """The penalty whose weights, of `fitted`, have the least squared error on `held_out`."""
    gram = held_out.about(fitted.mean, visible, visible)
    cross = held_out.about(fitted.mean, visible, hidden)

    def error(penalty: float) -> float:
        try:
            weights = _solve(fitted, visible, hidden, penalty)
        except np.linalg.LinAlgError:  # too small a penalty for float32's digits
            return np.inf
        # Less the hole's own variance, which is the same for every penalty.
        return float((weights * (gram @ weights)).sum() - 2 * (weights * cross).sum())

    return min(PENALTIES, key=error)


def _solve(
    moments: Moments, visible: Indices, hidden: Indices, penalty: float
) -> Float[np.ndarray, "visible missing"]:
    from scipy.linalg import cho_factor, cho_solve

    gram = moments.about(moments.mean, visible, visible)
    # The last term is for images that are all the same.
    gram[np.diag_indices_from(gram)] += penalty * gram.diagonal().mean() + 1e-12
    factors = cho_factor(gram, overwrite_a=True, check_finite=False)
    return cho_solve(factors, moments.about(moments.mean, visible, hidden), check_finite=False)


def _split(hole: Hole) -> tuple[Indices, Indices]:
    """(visible values, missing values) of a flattened image of three channels."""
    missing = hole.ravel().repeat(3)
    return (~missing).nonzero()[0], missing.nonzero()[0]
