"""Pooled features of images, by stage, kept where a data set of any size has room.

Maps are averaged over a few cells and flattened. Those of a split go, as 16-bit floats, to a
temporary file: the kernel keeps of it in memory what fits.
"""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, UInt8

from ctxenc import features, masks
from ctxenc.data.images import Images, decode
from ctxenc.data.loaders import own_rows, to_devices
from ctxenc.errors import UserError
from ctxenc.parallel import devices
from ctxenc.state import Model, Variables

POOL = 4  # cells a side
JOINED = "joined"  # all stages' features side by side, as if of one more stage
WIDEST_JOINED = 12_288  # features n: a linear probe needs some 20 n² bytes
CHUNK = 2048  # images whose features are in memory as 32-bit floats at once
LARGEST = float(np.finfo(np.float16).max)

Progress = Callable[[int, int], None]  # (so many done, of how many)
Batch = UInt8[Array, "batch height width 3"]
Pooled = dict[str, Float16[Array, "batch features"]]


@dataclass(frozen=True)
class Encoder:
    """What makes features of images: `pooled` gives those of some of its `stages` for a batch."""

    stages: tuple[str, ...]
    pooled: Callable[[Batch, tuple[str, ...]], Pooled]

    def only(self, wanted: Sequence[str] | None) -> "Encoder":
        """With some of its stages; None for all.

        Raises:
            UserError: one that it does not have.
        """
        for name in wanted or ():
            if name not in self.stages:
                known = ", ".join(self.stages)
                raise UserError(f"--stages {name}: no such stage; expected all, or some of {known}")
        return Encoder(self.stages if wanted is None else tuple(wanted), self.pooled)


def of_network(model: Model, variables: Variables, image_size: int, pool: int) -> Encoder:
    """A generator's encoder, each stage's maps averaged over `pool` × `pool` cells.

    Raises:
        UserError: the generator names no stages, or is of another image size.
    """
    names = features.names(model, variables, image_size)
    return Encoder(names, functools.partial(_of_network, model, pool, variables))


@functools.partial(jax.jit, static_argnums=(0, 1, 4))
def _of_network(
    model: Model, pool: int, variables: Variables, images: Batch, wanted: tuple[str, ...]
) -> Pooled:
    maps = features.stages(model, variables, masks.to_float(images))
    return {name: _flat(average_pool(maps[name], pool)) for name in wanted}


def of_pixels(at_most: int) -> Encoder:
    """The images themselves, averaged over at most so many cells a side."""
    return Encoder(("pixels",), functools.partial(_of_pixels, at_most))


@functools.partial(jax.jit, static_argnums=(0, 2))
def _of_pixels(cells: int, images: Batch, wanted: tuple[str, ...]) -> Pooled:
    return {name: _flat(average_pool(masks.to_float(images), cells)) for name in wanted}


def average_pool(
    maps: Float[Array, "batch height width channels"], cells: int
) -> Float[Array, "batch rows columns channels"]:
    """Means over `cells` × `cells` areas, as PyTorch's AdaptiveAvgPool2d; smaller maps stay."""
    rows, columns = (_areas(side, min(cells, side)) for side in maps.shape[1:3])
    maps = maps.astype(jnp.float32)
    return jnp.einsum("yh,bhwc,xw->byxc", rows, maps, columns, precision="highest")


def _areas(side: int, cells: int) -> Float[np.ndarray, "cells side"]:
    weights = np.zeros((cells, side), np.float32)
    for cell in range(cells):
        area = slice(cell * side // cells, -(-(cell + 1) * side // cells))
        weights[cell, area] = 1 / (area.stop - area.start)
    return weights


def _flat(maps: Float[Array, "batch height width channels"]) -> Float16[Array, "batch features"]:
    return jnp.clip(maps.reshape(len(maps), -1), -LARGEST, LARGEST).astype(jnp.float16)


class Standard(NamedTuple):
    """What features are standardised by: training images' means, and deviations' inverses."""

    mean: Float[np.ndarray, " features"]
    scale: Float[np.ndarray, " features"]  # 0 of a feature that is the same for all


@dataclass(frozen=True)
class Features:
    """A stage's features of a split's images, in their order; or several stages', side by side."""

    arrays: tuple[Float16[np.ndarray, "images _"], ...]

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def width(self) -> int:
        """How many features an image has."""
        return sum(array.shape[1] for array in self.arrays)

    def chunks(self, standard: Standard) -> Iterator[Float[Array, "chunk features"]]:
        """All of them standardised, some at a time."""
        for chunk in self._chunks():
            yield _standardised(chunk, *standard)

    def standard(self) -> Standard:
        """Their means and deviations."""
        sums = np.zeros((2, self.width))
        for chunk in self._chunks():
            sums += jax.device_get(_moments(chunk))
        mean, square = sums / len(self)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        alive = deviation > 1e-6 * np.abs(mean) + 1e-12
        scale = np.divide(1, deviation, where=alive, out=np.zeros_like(deviation))
        return Standard(mean.astype(np.float32), scale.astype(np.float32))

    def _chunks(self) -> Iterator[Float16[np.ndarray, "chunk features"]]:
        for start in range(0, len(self), CHUNK):
            yield np.concatenate([array[start : start + CHUNK] for array in self.arrays], axis=1)


def with_joined(stages: dict[str, Features]) -> dict[str, Features]:
    """Several stages' features and, unless they are too many for a linear probe, all `JOINED`."""
    together = Features(tuple(array for stage in stages.values() for array in stage.arrays))
    joined = len(stages) > 1 and together.width <= WIDEST_JOINED and JOINED not in stages
    return stages | ({JOINED: together} if joined else {})


@jax.jit
def _standardised(chunk: Float16[Any, "n f"], mean: Any, scale: Any) -> Float[Array, "n f"]:
    return (chunk.astype(jnp.float32) - mean) * scale


@jax.jit
def _moments(chunk: Float16[Any, "n f"]) -> Float[Array, "2 f"]:
    values = chunk.astype(jnp.float32)
    return jnp.stack([values.sum(0), jnp.square(values).sum(0)])


def extract(
    encoder: Encoder, images: Images, batch_size: int, progress: Progress
) -> dict[str, Features]:
    """The features of a split's images, by stage.

    Raises:
        UserError: an image cannot be read.
        OSError: there is no room for the temporary files.
    """
    count, pending = len(images), None
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(tempfile.TemporaryFile()) for name in encoder.stages}

        def write(found: Pooled, valid: int) -> None:
            for name, file in files.items():
                file.write(np.asarray(found[name])[:valid].tobytes())

        for start, batch, valid in batches(images, batch_size):
            found = encoder.pooled(batch, encoder.stages)
            if pending is not None:  # while the next batch is computed
                write(*pending)
            pending = found, valid
            progress(start + valid, count)
        assert pending is not None
        write(*pending)
        made = {}
        for name, file in files.items():
            file.flush()
            width = pending[0][name].shape[1]
            made[name] = Features((np.memmap(file, np.float16, "r", shape=(count, width)),))
    return made


def batches(images: Images, batch_size: int) -> Iterator[tuple[int, Batch, int]]:
    """Every image once: (the first one's index, the images, how many of them count)."""
    divided = devices.shardings()[1]
    for start in range(0, len(images), batch_size):
        wanted = np.arange(start, min(start + batch_size, len(images)))
        rows = np.resize(wanted, batch_size)[own_rows(divided, batch_size)]
        own = decode(images, rows.tolist())
        yield start, to_devices(own, divided, batch_size), len(wanted)
