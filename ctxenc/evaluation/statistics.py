"""From every image's values to figures with intervals, and to whether the model wins."""

from collections.abc import Mapping

import numpy as np

from ctxenc import baselines
from ctxenc.metrics.bootstrap import LEVEL, Columns, Figure, Samples, figure, resampled_figures
from ctxenc.metrics.registry import METRICS

VERDICT = "psnr_db"  # the metric that says which method is better
FEWEST = 10  # test images for a verdict: below, a bootstrap knows nothing of the spread


class Standing:
    """The rows' figures, and the model's lead over the best other row.

    Args:
        rows: each method's values by image; NaN where it was not measured on an image, or where
            the image has no such value. All have as many images.
        seed: of the resampling.
    """

    def __init__(self, rows: Mapping[str, Columns], *, seed: int = 0):
        self._images = {row: _images(columns) for row, columns in rows.items()}
        found = resampled_figures(list(rows.values()), seed=seed)
        self._found = dict(zip(rows, found, strict=True))

    def figures(self, row: str) -> dict[str, Figure]:
        """A row's figures.

        Left out are those that no image has (holes one pixel wide have no sharpness), or so few
        images that a resample may have none of them.
        """
        images = self._images[row]
        return {n: {**f, "images": images[n]} for n, f in _finite(self._found[row]).items()}

    @property
    def best_baseline(self) -> str | None:
        """The baseline with the highest `VERDICT` among those on all images."""
        of = {row: images[VERDICT] for row, images in self._images.items()}
        others = [row for row in of if row != "model" and of[row] == of["model"]]
        return max(others, key=lambda row: self._found[row][VERDICT][0], default=None)

    def lead(self, over: str) -> dict[str, Figure]:
        """The model's figures minus another row's, image by image."""
        ours, theirs = self._found["model"], self._found[over]
        return _finite({name: ours[name] - theirs[name] for name in ours if name in theirs})


def _images(columns: Columns) -> dict[str, int]:
    """By metric, how many images have a value."""
    there = {name: int(np.isfinite(values).sum()) for name, values in columns.items()}
    return {
        name: min(there[column] for column in metric.per_image)
        for name, metric in METRICS.items()
        if metric.per_image and metric.per_image.keys() <= there.keys()
    }


def _finite(found: Mapping[str, Samples]) -> dict[str, Figure]:
    return {name: figure(values) for name, values in found.items() if np.isfinite(values).all()}


def sentence(best: str | None, lead: Mapping[str, Figure], images: int) -> str:
    """The verdict in words, from the paired interval of the difference in PSNR."""
    if images < FEWEST:
        return f"{images} test images are too few for a verdict; expected {FEWEST} or more"
    if best is None:
        return "no baseline was measured on these images, so nothing says what the model is worth"
    title, difference = baselines.title(best), lead[VERDICT]
    low, high, by = difference["low"], difference["high"], difference["mean"]
    if low > 0:
        words, ends = f"beats {title} by {by:.2f} dB", f"{low:.2f} to {high:.2f}"
    elif high < 0:
        words, ends = f"loses to {title} by {-by:.2f} dB", f"{-high:.2f} to {-low:.2f}"
    else:
        words, ends = f"cannot be told from {title}: {by:+z.2f} dB", f"{low:+.2f} to {high:+.2f}"
    return f"the model {words} ({LEVEL} % interval {ends})"
