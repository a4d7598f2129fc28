"""One pass over a test split: every method's fill of every image, measured alike."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from ctxenc import masks
from ctxenc.evaluation.statistics import Columns
from ctxenc.evaluation.test_split import TestSplit
from ctxenc.metrics import per_image, perceptual
from ctxenc.metrics.torchscript import Networks
from ctxenc.prediction import Prediction

MOST_IN_SWD = 10_000  # images, evenly spread

Fill = Callable[[Array, Array], Array]  # (uint8 images, masks) to composites in [-1, 1]
Patches = list[Float[np.ndarray, "patches pixels 3"]]  # one entry a level of the pyramid


@dataclass(frozen=True)
class Row:
    """One method, and how many of the first images it is measured on."""

    fill: Fill
    images: int


def measure(
    test: TestSplit,
    rows: dict[str, Row],
    networks: Networks,
    progress: Callable[[int, int], None],
) -> tuple[dict[str, Columns], dict[str, dict[str, Any]]]:
    """Every row's values by image, and its sliced Wasserstein distance to the real pixels.

    The distance is of the missing boxes, or of the whole images where shapes are arbitrary.

    Images are read once, whatever the number of rows. The networks, if there are any, look at
    every row that is measured on all images.

    Returns:
        By row: `l1`, `l2`, `psnr`, `ssim`, `gradient` and `real_gradient` of each image; and of
        the distance the `mean`, the `levels` (finest first) and the number of `images`.
    """
    total, start = len(test.images), 0
    apart = -(-total // MOST_IN_SWD)
    per_image = max(1, -(-perceptual.PATCHES // -(-total // apart)))
    values: dict[str, list[Columns]] = {name: [] for name in rows}
    patches: dict[str, list[Patches]] = {name: [] for name in ("real", *rows)}
    for (images, mask), valid in test.batches():
        used = np.flatnonzero(np.arange(start, start + valid) % apart == 0)
        real_gradient, real = _real(images, mask, test.model.prediction)
        patches["real"].append(_patches(real, used, per_image, start))
        whole: dict[str, np.ndarray] = {}
        for name, row in rows.items():
            count = min(valid, row.images - start)
            if count <= 0:
                continue
            filled = row.fill(images, mask)
            if networks and row.images == total:
                whole[name] = np.asarray(filled)[:valid]
            found, hole = _measured(images, filled, mask, test.model.prediction)
            found = jax.device_get({**found, "real_gradient": real_gradient})
            values[name].append({column: v[:count] for column, v in found.items()})
            kept = per_image * int((used < count).sum())
            cut = _patches(hole, used, per_image, start)
            patches[name].append([level[:kept] for level in cut])
        if whole:
            networks.look(np.asarray(images)[:valid], whole)
        start += valid
        progress(start, total)
    columns = {
        name: {column: np.concatenate([p[column] for p in parts]) for column in parts[0]}
        for name, parts in values.items()
    }
    levels = {
        name: [np.concatenate(level) for level in zip(*parts, strict=True)]
        for name, parts in patches.items()
    }
    distances = _Distances(levels.pop("real"), per_image)
    return columns, {name: distances.of(fakes) for name, fakes in levels.items()}


@functools.partial(jax.jit, static_argnums=2)
def _real(images: Array, mask: Array, views: Prediction) -> tuple[Array, Array]:
    real = masks.to_float(images)
    gradient = perceptual.gradient_magnitude(real, mask)
    return gradient, views.missing_box(real, mask)


@functools.partial(jax.jit, static_argnums=3)
def _measured(
    images: Array, filled: Array, mask: Array, views: Prediction
) -> tuple[dict[str, Array], Array]:
    values = per_image.per_image(masks.to_float(images), filled, mask)
    values["gradient"] = perceptual.gradient_magnitude(filled, mask)
    return values, views.missing_box(filled, mask)


def _patches(holes: Array, used: np.ndarray, per_image: int, start: int) -> Patches:
    """Patches of the used holes of a batch, at the same places whichever row they are of."""
    rng = np.random.default_rng(start)
    levels = perceptual.pyramid(np.asarray(holes)[used])
    return [perceptual.patches(level, per_image, rng) for level in levels]


class _Distances:
    """Sliced Wasserstein distances to the real patches, whose side is worked out once."""

    def __init__(self, real: Patches, per_image: int):
        self._real, self._per_image = real, per_image
        self._sliced: dict[int, list[perceptual.Sliced]] = {}

    def of(self, fake: Patches) -> dict[str, Any]:
        """Those of a row, which may be of the first images only."""
        count = len(fake[0])
        if count not in self._sliced:
            self._sliced[count] = [perceptual.Sliced(level[:count]) for level in self._real]
        pairs = zip(self._sliced[count], fake, strict=True)
        levels = [sliced.to(patches) for sliced, patches in pairs]
        images = count // self._per_image
        return {"mean": float(np.mean(levels)), "levels": levels, "images": images}
