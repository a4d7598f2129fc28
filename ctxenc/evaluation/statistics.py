"""From every image's values to figures with intervals, and to whether the model wins."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ctxenc.metrics.bootstrap import LEVEL, percentiles, resampled_means

Columns = dict[str, Float[np.ndarray, " images"]]  # as `metrics.per_image` names them, and more
Figure = dict[str, Any]  # mean, low, high, images

FEWEST = 10  # test images for a verdict: below, a bootstrap knows nothing of the spread

TITLES = {
    "model": "model",
    "mean_colour": "mean colour",
    "context_mean": "context mean",
    "telea": "Telea",
    "navier_stokes": "Navier-Stokes",
    "harmonic": "harmonic",
    "biharmonic": "biharmonic",
    "ridge": "ridge",
}


class Standing:
    """The rows' figures, and the model's lead over the best other row.

    Args:
        rows: each method's values by image: `l1`, `l2`, `psnr`, `ssim`, `gradient`, and the real
            images' `real_gradient`, the last two not a number where the missing pixels are too thin
            for any. A method measured on the first images only has fewer.
        seed: of the resampling.
    """

    def __init__(self, rows: dict[str, Columns], *, seed: int = 0):
        self._images = {row: len(next(iter(columns.values()))) for row, columns in rows.items()}
        self._thick = {row: int(_thick(columns).sum()) for row, columns in rows.items()}
        rows = {row: _without_thin(columns) for row, columns in rows.items()}
        means = {
            row: {name: np.mean(v, dtype=np.float64) for name, v in columns.items()}
            for row, columns in rows.items()
        }
        self._at = {row: statistics(of) for row, of in means.items()}
        self._resampled: dict[str, Columns] = {}
        for count in set(self._images.values()):
            alike = {row: rows[row] for row in rows if self._images[row] == count}
            self._resampled |= _resampled(alike, seed)

    def figures(self, row: str) -> dict[str, Figure]:
        """A row's figures; those that are not numbers (holes one pixel wide) are left out.

        So is `sharpness` where so few images have one that a resample may have none.
        """
        images = dict.fromkeys(self._at[row], self._images[row]) | {"sharpness": self._thick[row]}
        return {
            name: {**self._figure(value, self._resampled[row][name]), "images": images[name]}
            for name, value in self._at[row].items()
            if math.isfinite(value) and np.isfinite(self._resampled[row][name]).all()
        }

    @property
    def best_baseline(self) -> str | None:
        """The baseline with the highest `psnr_db` among those on all images."""
        every = self._images["model"]
        others = [r for r, count in self._images.items() if r != "model" and count == every]
        return max(others, key=lambda row: self._at[row]["psnr_db"], default=None)

    def lead(self, over: str) -> dict[str, Figure]:
        """The model's figures minus another row's, image by image."""
        ours, theirs = self._at["model"], self._at[over]
        samples = self._resampled
        return {
            name: self._figure(ours[name] - theirs[name], samples["model"][name] - values)
            for name, values in samples[over].items()
            if math.isfinite(ours[name] - theirs[name])
            and np.isfinite(samples["model"][name] - values).all()
        }

    @staticmethod
    def _figure(value: float, samples: np.ndarray) -> Figure:
        low, high = percentiles(samples)
        return {"mean": float(value), "low": low, "high": high}


def statistics(means: dict[str, Any]) -> dict[str, Any]:
    """The figures that follow from the columns' means: numbers, or arrays of resamples."""
    return {
        "psnr_db": means["psnr"],
        "psnr_pooled_db": -10 * np.log10(np.maximum(means["l2"], 1e-30)),
        "l1_percent": 100 * means["l1"],
        "l2_percent": 100 * means["l2"],
        "ssim": means["ssim"],
        "sharpness": _ratio(means["gradient"], means["real_gradient"]),
    }


def _thick(columns: Columns) -> np.ndarray:
    """Which images have gradients: somewhere their missing pixels are two wide and two high."""
    return np.isfinite(columns["gradient"]) & np.isfinite(columns["real_gradient"])


def _without_thin(columns: Columns) -> Columns:
    """With gradients of 0 in images that have none: the ratio of two means is of the others."""
    thick = _thick(columns)
    both = {n: np.where(thick, columns[n], 0.0) for n in ("gradient", "real_gradient")}
    return {**columns, **both}


def _ratio(of: Any, to: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.divide(of, to)


def sentence(best: str | None, lead: dict[str, Figure], images: int) -> str:
    """The verdict in words, from the paired interval of the difference in PSNR."""
    if images < FEWEST:
        return f"{images} test images are too few for a verdict; it takes {FEWEST}"
    if best is None:
        return "no baseline was measured on these images, so nothing says what the model is worth"
    title, psnr = TITLES.get(best, best), lead["psnr_db"]
    low, high, by = psnr["low"], psnr["high"], psnr["mean"]
    if low > 0:
        return (
            f"the model beats {title} by {by:.2f} dB ({LEVEL} % interval {low:.2f} to {high:.2f})"
        )
    if high < 0:
        return (
            f"the model loses to {title} by {-by:.2f} dB "
            f"({LEVEL} % interval {-high:.2f} to {-low:.2f})"
        )
    return (
        f"the model cannot be told from {title}: {by:+.2f} dB "
        f"({LEVEL} % interval {low:+.2f} to {high:+.2f})"
    )


def _resampled(rows: dict[str, Columns], seed: int) -> dict[str, Columns]:
    """Each row's figures in every resample; rows of as many images share their draws."""
    table = np.stack([v for columns in rows.values() for v in columns.values()], axis=1)
    means = iter(resampled_means(table.astype(np.float64), seed=seed).T)
    return {row: statistics({name: next(means) for name in rows[row]}) for row in rows}
