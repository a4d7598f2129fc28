"""One pass over a test split: every method's fill of every image, measured alike."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ctxenc import masks
from ctxenc.evaluation.test_split import Batch, Columns, TestSplit
from ctxenc.metrics import registry
from ctxenc.metrics.registry import METRICS
from ctxenc.metrics.sliced_wasserstein import SlicedWasserstein
from ctxenc.metrics.torchscript import Networks
from ctxenc.prediction import Prediction


@dataclass(frozen=True)
class Row:
    """One method, and how many of the first images it is measured on."""

    fill: Callable[[Batch], Array]  # to composites in [-1, 1]
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
        By row: the columns of all metrics, NaN for images that it is not measured on; and `swd`
        (`ctxenc.metrics.sliced_wasserstein`).
    """
    total, start, names = len(test.images), 0, tuple(METRICS)
    prediction, patches = test.model.prediction, SlicedWasserstein(total)
    columns: dict[str, Columns] = {
        row: {column: np.full(total, np.nan) for column in registry.columns(names)} for row in rows
    }
    for batch in test.batches():
        valid, whole = batch.valid, {}
        hole = _hole(masks.to_float(batch.images), batch.mask, prediction)
        patches.look("real", start, np.asarray(hole)[:valid], valid)
        for name, row in rows.items():
            if (count := min(valid, row.images - start)) <= 0:
                continue
            filled = row.fill(batch)
            if networks and row.images == total:
                whole[name] = np.asarray(filled)[:valid]
            for column, values in jax.device_get(batch.measured(filled, names)).items():
                columns[name][column][start : start + count] = values[:count]
            hole = _hole(filled, batch.mask, prediction)
            patches.look(name, start, np.asarray(hole)[:valid], count)
        if whole:
            networks.look(batch.own[:valid], whole)
        start += valid
        progress(start, total)
    return columns, patches.figures()


@functools.partial(jax.jit, static_argnums=2)
def _hole(images: Array, mask: Array, prediction: Prediction) -> Array:
    return prediction.missing_box(images, mask)
