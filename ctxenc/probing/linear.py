"""The linear probe: ridge regression on one-hot classes, in closed form.

Of standardised features x and centred one-hot labels y of the training images, W minimises
mean |x W - y|² + λ |W|², which (Xᵀ X / n + λ) W = Xᵀ Y / n solves; the class is that of the highest
of x W + ȳ. The sums over images are collected some images at a time. λ is chosen on validation
images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import blas, cho_factor, cho_solve

from ctxenc.probing.features import Features, Standard

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)  # of features whose variance is 1
WORSE = 1.0  # points below the best: more than chance makes of a few thousand validation images


@dataclass(frozen=True)
class Linear:
    """A linear classifier of standardised features, and the `penalty` that made it."""

    standard: Standard
    weights: Float[np.ndarray, "features classes"]
    intercept: Float[np.ndarray, " classes"]
    penalty: float

    def predict(self, features: Features) -> Int[np.ndarray, " images"]:
        """Each image's class."""
        scores = [np.asarray(chunk) @ self.weights for chunk in features.chunks(self.standard)]
        return (np.concatenate(scores) + self.intercept).argmax(axis=1)


def best(
    train: Features,
    standard: Standard,
    numbers: Int[np.ndarray, " images"],
    classes: int,
    accuracy: Callable[[Linear], float],
) -> tuple[Linear, float]:
    """The classifier whose penalty has the highest validation `accuracy`, and that, in per cent.

    Penalties are tried from the least on, until one is clearly `WORSE` than the best so far.
    """
    found = None
    for linear in fitted(train, standard, numbers, classes):
        share = accuracy(linear)
        if found is None or share > found[1]:
            found = linear, share
        elif share < found[1] - WORSE:
            break
    assert found is not None
    return found


def fitted(
    train: Features,
    standard: Standard,
    numbers: Int[np.ndarray, " images"],
    classes: int,
    penalties: Sequence[float] = PENALTIES,
) -> Iterator[Linear]:
    """A classifier for each penalty, made when it is asked for.

    Args:
        train: the features of the training images.
        standard: `train`'s.
        numbers: their classes.
        classes: how many there are.
        penalties: λ.
    """
    count, width = len(train), train.width
    shares = np.bincount(numbers, minlength=classes) / count
    products = np.zeros((width, width), np.float32, order="F")
    aims = np.zeros((width, classes))
    start = 0
    for chunk in train.chunks(standard):
        x = np.asarray(chunk)
        y = np.eye(classes, dtype=np.float32)[numbers[start : start + len(x)]] - shares
        # One triangle of Xᵀ X; BLAS's matrices are in columns.
        products = blas.ssyrk(1, x.T, beta=1, c=products, trans=0, lower=1, overwrite_c=1)
        aims += x.T @ y.astype(np.float32)
        start += len(x)
    for penalty in penalties:
        matrix = products.astype(np.float64) / count
        matrix[np.diag_indices(width)] += penalty
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        weights = cho_solve(factor, aims / count, check_finite=False)
        yield Linear(standard, weights.astype(np.float32), shares.astype(np.float32), penalty)
