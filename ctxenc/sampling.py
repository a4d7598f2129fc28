"""The sample grids of a run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from ctxenc import masks, step
from ctxenc.data.images import decode
from ctxenc.evaluation import test_split
from ctxenc.parallel import devices
from ctxenc.plan import Plan
from ctxenc.report import grids
from ctxenc.runs.folder import Run
from ctxenc.runtime.background import Background
from ctxenc.state import Hyper, TrainState


class Sampler:
    """Writes the sample grids: the same test images and masks every time.

    They go through the test's own program, in a batch of the test's size, so that nothing more is
    compiled for them.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        background: Background,
        hyper: Hyper,
        sharding: NamedSharding,
    ):
        self._gan, self._run, self._colour = plan.model, run, hyper.fill
        self._background = background
        self._count, size = plan.config.num_img, plan.config.image_size
        rows = devices.rows_shared(max(self._count, plan.config.batch_size))
        indices = np.resize(plan.sample_indices, rows)
        images = decode(plan.dataset.test, indices.tolist())
        mask = test_split.frozen(plan.model.mask, jnp.asarray(indices), size)
        real = masks.to_float(jnp.asarray(images))
        masked = masks.apply(real, mask, plan.hyper.fill)
        self._batch = devices.put((images, mask), sharding)
        self._rows = [np.asarray(row)[: self._count] for row in (real, masked)]

    def save(self, at: int, state: TrainState) -> None:
        """Have the grid of a step written: real, masked, filled."""
        filled, _ = step.eval_step(self._gan, state.tested, *self._batch, self._colour)
        self._background.submit(self._write, self._run.sample(at), devices.whole(filled))

    def _write(self, file: Path, filled: jax.Array) -> None:
        grids.save(file, [*self._rows, np.asarray(filled)[: self._count]])
