"""From every image's values to figures with intervals, and to whether the model wins."""

from collections.abc import Mapping

import numpy as np

from ctxenc import baselines
from ctxenc.metrics.bootstrap import LEVEL, Columns, Figure, Samples, figure, resampled_figures
from ctxenc.metrics.registry import MAIN, METRICS

FEWEST = 10  # test images for a verdict: with fewer, a bootstrap says nothing of the spread


def standing(
    rows: Mapping[str, Columns],
) -> tuple[dict[str, dict[str, Figure]], str | None, dict[str, Figure]]:
    """Figures and comparison of the methods, from each one's values by image.

    A value is NaN where the method was not measured on an image, or where the image has none.
    Figures that no image has (holes one pixel wide have no sharpness), or so few that a resample
    may have none of them, are left out.

    Returns:
        (by row and metric the figures, with the number of `images` that have a value; the baseline
        with the best `MAIN` among those on all images, if any; by metric, the model's figure
        minus that baseline's, image by image).
    """
    samples = dict(zip(rows, resampled_figures(list(rows.values())), strict=True))

    def images(row: str, metric: str) -> int:
        columns = METRICS[metric].per_image
        return min(int(np.isfinite(rows[row][column]).sum()) for column in columns)

    figures = {
        row: {name: {**f, "images": images(row, name)} for name, f in _finite(found).items()}
        for row, found in samples.items()
    }
    others = [r for r in rows if r != "model" and images(r, MAIN) == images("model", MAIN)]
    best = max(others, key=lambda row: samples[row][MAIN][0], default=None)
    if best is None:
        return figures, None, {}
    ours, theirs = samples["model"], samples[best]
    return figures, best, _finite({n: ours[n] - theirs[n] for n in ours if n in theirs})


def _finite(found: Mapping[str, Samples]) -> dict[str, Figure]:
    return {name: figure(values) for name, values in found.items() if np.isfinite(values).all()}


def sentence(best: str | None, lead: Mapping[str, Figure], images: int) -> str:
    """The verdict in words, from the paired interval of the difference in PSNR."""
    if images < FEWEST:
        return f"{images} test images are too few for a verdict; expected {FEWEST} or more"
    if best is None:
        return "no baseline was measured on these images, so nothing says what the model is worth"
    title, difference = baselines.title(best), lead[MAIN]
    low, high, by = difference["low"], difference["high"], difference["mean"]
    if low > 0:
        words, ends = f"beats {title} by {by:.2f} dB", f"{low:.2f} to {high:.2f}"
    elif high < 0:
        words, ends = f"loses to {title} by {-by:.2f} dB", f"{-high:.2f} to {-low:.2f}"
    else:
        words, ends = f"cannot be told from {title}: {by:+z.2f} dB", f"{low:+.2f} to {high:+.2f}"
    return f"the model {words} ({LEVEL} % interval {ends})"
