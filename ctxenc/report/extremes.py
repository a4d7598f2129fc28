"""The picture of an evaluation: images that the model fills best, as usual, and worst."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ctxenc.report import grids

EACH = 4  # columns
ROWS = ("real", "masked", "filled")


def choose(
    psnr: Float[np.ndarray, " images"], each: int = EACH
) -> dict[str, Int[np.ndarray, " n"]]:
    """Indices of the `best`, `median` and `worst` images; fewer of each where there are few."""
    order = np.argsort(-psnr, kind="stable")
    count = max(1, min(each, len(order) // 3))
    middle = (len(order) - count) // 2
    return {
        "best": order[:count],
        "median": order[middle : middle + count],
        "worst": order[-count:],
    }


def save(
    file: Path,
    groups: dict[str, list[Float[np.ndarray, "n height width 3"]]],
    psnr: dict[str, Float[np.ndarray, " n"]],
) -> None:
    """Write the picture as a PNG, whole or not at all.

    Args:
        file: where.
        groups: by name, the images in [-1, 1] of each of `ROWS`.
        psnr: by name, what is written below each column, in dB.
    """
    pictures = [
        grids.captioned(
            f"{name} by PSNR",
            dict(zip(ROWS, rows, strict=True)),
            [f"{value:.1f} dB" for value in psnr[name]],
        )
        for name, rows in groups.items()
    ]
    grids.save(file, grids.joined(pictures, axis=1))
