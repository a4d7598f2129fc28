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

**To add one**, write it in ``fills.py`` and enter it in `BASELINES` there. One of your own package
needs no entry: ``ctxenc.evaluate RUN --baselines ridge,mypackage.fills.nearest``.
"""

from ctxenc.baselines.contract import Baseline, Fill, prepared
from ctxenc.baselines.fills import BASELINES, title, to_beat

__all__ = ["BASELINES", "Baseline", "Fill", "prepared", "title", "to_beat"]
