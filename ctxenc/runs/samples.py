"""The sample grids of a run: the same validation images and masks every time."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ctxenc import masks, step
from ctxenc.evaluation.held_out import HeldOutSplit
from ctxenc.parallel import devices
from ctxenc.report import grids
from ctxenc.runs.folder import sample_name
from ctxenc.runs.session import Background
from ctxenc.state import TrainState


@dataclass
class Samples:
    """Writes the grids: real, masked, filled.

    They go through the validation's own program, so that nothing more is compiled for them.
    """

    folder: Path
    validation: HeldOutSplit
    count: int  # of its images, evenly spread
    fill_value: jax.Array  # what the generator sees in a hole, in [-1, 1]
    background: Background  # where they are written

    def __post_init__(self) -> None:
        shown = np.linspace(0, len(self.validation.images) - 1, self.count).round().astype(int)
        size = self.validation.batch_size
        self._batches = [
            self.validation.batch(i) for i in np.split(shown, range(size, self.count, size))
        ]
        images = self._joined(devices.whole([batch.images for batch in self._batches]))
        mask = self._joined(devices.whole([batch.mask for batch in self._batches]))
        real = masks.to_float(jnp.asarray(images))
        masked = masks.apply(real, jnp.asarray(mask), jnp.asarray(np.asarray(self.fill_value)))
        self._rows = [np.asarray(real), np.asarray(masked)]

    def save(self, at: int, state: TrainState) -> None:
        """Have the grid of a step written."""
        model, variables, fill = self.validation.model, state.evaluated, self.fill_value
        filled = devices.whole(
            [step.fill(model, variables, b.images, b.mask, fill) for b in self._batches]
        )
        file = self.folder / sample_name(at)
        self.background.submit(lambda: grids.save(file, [*self._rows, self._joined(filled)]))

    def _joined(self, batches: list[jax.Array]) -> np.ndarray:
        """The images that are shown, of batches whose last is filled up."""
        return np.concatenate(batches)[: self.count]
