"""The sample grids of a run: the same validation images and masks every time."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ctxenc import masks, metrics, step
from ctxenc.baselines.fills import Harmonic
from ctxenc.evaluation.held_out import HeldOutSplit
from ctxenc.parallel import devices
from ctxenc.report import grids
from ctxenc.run_folder.folder import sample_name
from ctxenc.run_folder.session import Background
from ctxenc.run_folder.trackers import Trackers
from ctxenc.state import TrainState


@dataclass
class Samples:
    """Writes the grids: real, masked, filled, and below them the harmonic fill.

    Where nothing is hidden, the second row is the images again, and there is no harmonic fill.

    They are filled by the validation's own program, so that nothing more is compiled for them.
    """

    folder: Path
    validation: HeldOutSplit
    count: int  # of its images, evenly spread
    fill_value: jax.Array  # what the generator sees in a hole, in [-1, 1]
    background: Background  # where they are written
    trackers: Trackers  # told of each
    run_title: str
    of: str  # whose images they are, for the title

    def __post_init__(self) -> None:
        shown = np.linspace(0, len(self.validation.images) - 1, self.count).round().astype(int)
        size = self.validation.batch_size
        self._batches = [
            self.validation.batch(i) for i in np.split(shown, range(size, self.count, size))
        ]
        images = self._joined(devices.whole([batch.images for batch in self._batches]))
        mask = self._joined(devices.whole([batch.mask for batch in self._batches]))
        self._mask, real = mask, masks.to_float(jnp.asarray(images))
        self._rows = {"real": np.asarray(real), "given": np.asarray(real)}
        self._harmonic: tuple[np.ndarray, list[str]] | None = None
        if self.validation.model.geometry.hides:
            fill_value = jnp.asarray(np.asarray(self.fill_value))
            masked = masks.apply(real, jnp.asarray(mask), fill_value)
            self._rows = {"real": np.asarray(real), "masked": np.asarray(masked)}
            harmonic = Harmonic()
            self._harmonic = self._measured([batch.filled(harmonic) for batch in self._batches])

    def save(self, at: int, state: TrainState) -> None:
        """Have the grid of a step written."""
        model, variables, fill = self.validation.model, state.evaluated, self.fill_value
        filled, captions = self._measured(
            [step.fill(model, variables, b.images, b.mask, fill) for b in self._batches]
        )
        measured = "fill, the PSNR of its hole" if self._harmonic else "prediction, its PSNR"
        title = f"{self.run_title}, step {at:,}\n{self.of}; below each {measured}"
        file = self.folder / sample_name(at)

        def write() -> None:
            name = "filled" if self._harmonic else "predicted"
            parts = [grids.captioned(title, self._rows | {name: filled}, captions)]
            if self._harmonic:
                harmonic, its_captions = self._harmonic
                parts.append(grids.captioned("", {"harmonic\nfill": harmonic}, its_captions))
            grids.save(file, grids.joined(parts, axis=0))
            self.trackers.grid(at, file)

        self.background.submit(write)

    def _measured(self, filled: list[jax.Array]) -> tuple[np.ndarray, list[str]]:
        """Composites and the PSNR of each, in words."""
        shown = self._joined(devices.whole(filled))
        psnr = metrics.per_image(self._rows["real"], shown, self._mask, ("psnr_db",))["psnr"]
        return shown, [f"{value:.1f} dB" for value in np.asarray(psnr)]

    def _joined(self, batches: list[jax.Array]) -> np.ndarray:
        """The images that are shown, of batches whose last is filled up."""
        return np.concatenate(batches)[: self.count]
