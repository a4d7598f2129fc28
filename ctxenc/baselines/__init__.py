"""Classical fills: what a model has to beat to be worth its hours of training.

A **fill** is a function of images and of which of their pixels are missing. It must not look at
these, and leaves all others as they are::

    def nearest(
        images: UInt8[np.ndarray, "n height width 3"],
        missing: Bool[np.ndarray, "n height width"],
    ) -> Float[np.ndarray, "n height width 3"]:  # in [-1, 1]: images / 127.5 - 1 where visible
        ...

A **baseline** is a fill; or a class, made without arguments, whose objects are fills; or one that
needs the training images, or one hole for all test images, and returns its fill from `fit`::

    class Ridge:
        def fit(
            self,
            train: ctxenc.data.images.Images,
            hole: Bool[np.ndarray, "height width"] | None,  # None: every image has its own
            progress: Callable[[int, int], None],  # told (images read, of how many)
        ) -> Fill:
            ...  # raises ctxenc.errors.UserError with the reason where it cannot be had

**To add one**, write it in ``fills.py`` or in a file beside it, and enter it in `BASELINES`. One of
your own package needs no entry: ``ctxenc.evaluate RUN --baselines ridge,mypackage.fills.nearest``.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ctxenc.baselines import fills
from ctxenc.baselines.contract import Fill, prepared
from ctxenc.baselines.ridge import Ridge

__all__ = ["BASELINES", "Baseline", "Fill", "prepared", "title"]


@dataclass(frozen=True)
class Baseline:
    """One baseline; `title` is its name in tables.

    One that is slow where every image has its own hole is measured on so many of the `first` images
    there. A run measures those of ``training`` before its first step.
    """

    title: str
    target: Any
    first: int | None = None
    when: Literal["training", "evaluation"] = "evaluation"


BASELINES: dict[str, Baseline] = {
    "mean_colour": Baseline("mean colour", fills.MeanColour, when="training"),
    "context_mean": Baseline("context mean", fills.context_mean, when="training"),
    "telea": Baseline("Telea", fills.telea),
    "navier_stokes": Baseline("Navier-Stokes", fills.navier_stokes),
    "harmonic": Baseline("harmonic", fills.Harmonic),
    "biharmonic": Baseline("biharmonic", fills.biharmonic, first=200),
    "ridge": Baseline("ridge", Ridge),
}
"""By the name that files, options and columns have."""


def title(row: str) -> str:
    """The name in tables of a row of an evaluation: the model, one of `BASELINES` or another's."""
    known = BASELINES.get(row)
    return known.title if known else row.rpartition(".")[2].replace("_", " ")
