"""Ridge regression from visible to missing pixels: the best linear fill of one hole for all."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ctxenc.baselines.contract import Composites, Hole, Images, Missing, Progress, to_float
from ctxenc.data.images import Images as Split
from ctxenc.data.images import decode
from ctxenc.errors import UserError

MOST_VALUES = 64 * 64 * 3  # an image: its normal equations take this number squared, 600 MB
MOST_IMAGES = 50_000  # evenly spread over a larger training split
HELD_OUT = 10  # every tenth training image chooses the penalty
PENALTIES = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)  # relative to visible pixels' mean variance

_CHUNK = 2048  # images

Pixels = Float[np.ndarray, "images values"]
Which = Bool[np.ndarray, " values"]  # values of a flattened image are missing


@dataclass(frozen=True)
class Fitted:
    """Missing pixels as `mean + weights.T @ (visible pixels - their mean)`, kept in [-1, 1]."""

    missing: Which
    mean: Float[np.ndarray, " values"]
    weights: Float[np.ndarray, "visible missing"]
    penalty: float

    def __call__(self, images: Images, missing: Missing) -> Composites:
        """The composites of images that all have the fitted hole."""
        flat = to_float(images).reshape(len(images), -1)
        assert (missing.reshape(len(images), -1).repeat(3, axis=1) == self.missing).all()
        flat[:, self.missing] = np.clip(self.predict(flat), -1, 1)
        return flat.reshape(images.shape)

    def predict(self, pixels: Pixels) -> Float[np.ndarray, "images missing"]:
        """The missing pixels' values, from the visible ones."""
        visible = (pixels - self.mean)[:, ~self.missing]
        return visible @ self.weights + self.mean[self.missing]


class Ridge:
    """The regression, fitted to the training split; no test image is touched."""

    def fit(self, train: Split, hole: Hole | None, progress: Progress) -> Fitted:
        """The regression with the penalty that is best on every tenth image, fitted to all.

        Raises:
            UserError: masks that differ, images that are too large, or too few of them.
        """
        if hole is None:
            raise UserError("expected one hole for all images, and these masks differ")
        if train.image_size**2 * 3 > MOST_VALUES:
            raise UserError(f"expected images of at most {MOST_VALUES} values")
        if len(train) < 2:
            raise UserError(f"expected two training images or more, and there are {len(train)}")
        missing, count = hole.ravel().repeat(3), min(len(train), MOST_IMAGES)
        indices = np.linspace(0, len(train) - 1, count).round().astype(int)
        apart = np.arange(count) % HELD_OUT == min(HELD_OUT, count) - 1
        held_out, others = _pixels(train, indices[apart]), indices[~apart]
        moments = _Moments(_pixels(train, indices[:_CHUNK]).mean(axis=0))
        for start in range(0, len(others), _CHUNK):
            moments.add(_pixels(train, others[start : start + _CHUNK]))
            progress(moments.images, count)

        def error(penalty: float) -> float:
            try:
                predicted = moments.fitted(missing, penalty).predict(held_out)
            except np.linalg.LinAlgError:  # too small a penalty for float32's digits
                return np.inf
            return float(np.square(predicted - held_out[:, missing]).mean())

        penalty = min(PENALTIES, key=error)
        moments.add(held_out)
        progress(moments.images, count)
        return moments.fitted(missing, penalty)


class _Moments:
    """Sums over images of what their values differ from `origin` by, and of products of any two.

    In float32, an origin near the mean keeps the digits that taking the mean off would lose.
    """

    def __init__(self, origin: Float[np.ndarray, " values"]):
        self.images, self._origin, self._sums = 0, origin, np.zeros(origin.size)
        self._products = np.zeros((origin.size, origin.size), np.float32)

    def add(self, pixels: Pixels) -> None:
        pixels = pixels - self._origin
        self.images += len(pixels)
        self._sums += pixels.sum(axis=0, dtype=np.float64)
        self._products += pixels.T @ pixels

    def fitted(self, missing: Which, penalty: float) -> Fitted:
        from scipy.linalg import cho_factor, cho_solve

        mean = self._sums / self.images

        def covariances(columns: Which) -> Float[np.ndarray, "visible columns"]:
            block = self._products[np.ix_(~missing, columns)].astype(np.float64)
            block /= self.images
            block -= np.outer(mean[~missing], mean[columns])
            return block

        gram = covariances(~missing)
        # The last term is for images that are all the same.
        gram[np.diag_indices_from(gram)] += penalty * gram.diagonal().mean() + 1e-12
        factors = cho_factor(gram, overwrite_a=True, check_finite=False)
        weights = cho_solve(factors, covariances(missing), check_finite=False)
        mean = (self._origin + mean).astype(np.float32)
        return Fitted(missing, mean, weights.astype(np.float32), penalty)


def _pixels(train: Split, indices: np.ndarray) -> Pixels:
    return to_float(decode(train, indices.tolist())).reshape(len(indices), -1)
