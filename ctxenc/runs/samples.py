"""The sample grids of a run: the same test images and masks every time."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from ctxenc import masks, step
from ctxenc.data.images import Images, decode
from ctxenc.parallel import devices
from ctxenc.report import grids
from ctxenc.runs.folder import sample_name
from ctxenc.runtime.background import Background
from ctxenc.state import Model, TrainState


class Samples:
    """Writes the grids: real, masked, filled.

    They go through the test's own program, in a batch of the test's size, so that nothing more is
    compiled for them.

    Args:
        folder: where they go.
        model: whose fills are shown.
        test: the images of the test split, of which `count` are shown, evenly spread.
        count: how many.
        batch_size: of the test.
        fill_value: what fills a hole before the generator sees it, in [-1, 1].
        background: where they are written.
        sharding: of the batch axis.
    """

    def __init__(
        self,
        folder: Path,
        model: Model,
        test: Images,
        count: int,
        batch_size: int,
        fill_value: jax.Array,
        background: Background,
        sharding: NamedSharding,
    ):
        self._folder, self._model, self._count = folder, model, count
        self._fill_value, self._background = fill_value, background
        shown = np.linspace(0, len(test) - 1, count).round().astype(int)
        indices = np.resize(shown, devices.rows_shared(max(count, batch_size)))
        images = decode(test, indices.tolist())
        mask = masks.frozen(model.mask, jnp.asarray(indices), test.image_size, test.image_size)
        real = masks.to_float(jnp.asarray(images))
        masked = masks.apply(real, mask, jnp.asarray(devices.on_host(fill_value)))
        self._images, self._mask = devices.put((images, mask), sharding)
        self._rows = [np.asarray(row)[:count] for row in (real, masked)]

    def save(self, at: int, state: TrainState) -> None:
        """Have the grid of a step written."""
        filled = step.fill(self._model, state.tested, self._images, self._mask, self._fill_value)
        self._background.submit(self._write, self._folder / sample_name(at), devices.whole(filled))

    def _write(self, file: Path, filled: jax.Array) -> None:
        grids.save(file, [*self._rows, np.asarray(filled)[: self._count]])
