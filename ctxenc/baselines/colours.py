"""Holes of one colour."""

import numpy as np
from jaxtyping import Float

from ctxenc.baselines.contract import Composites, Fill, Hole, Images, Missing, Progress, to_float
from ctxenc.data.images import Images as Split
from ctxenc.data.images import mean_colour


class MeanColour:
    """The training split's mean colour."""

    def fit(self, train: Split, hole: Hole | None, progress: Progress) -> Fill:
        """The fill; the colour is remembered with the split."""
        return of_colour(mean_colour(train))


def of_colour(colour: Float[np.ndarray, " 3"]) -> Fill:
    """A fill of one colour, red, green and blue in [-1, 1]."""

    def fill(images: Images, missing: Missing) -> Composites:
        return np.where(missing[..., None], np.float32(colour), to_float(images))

    return fill


def context_mean(images: Images, missing: Missing) -> Composites:
    """The mean colour of each image's own visible pixels."""
    real, visible = to_float(images), ~missing[..., None]
    mean = (real * visible).sum((1, 2), keepdims=True) / visible.sum((1, 2), keepdims=True)
    return np.where(visible, real, mean.astype(np.float32))
