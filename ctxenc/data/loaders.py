"""How images become batches: one order, two ways to carry it out.

Which images make up a step's batch is a function of (seed, epoch) alone, so a resumed run needs no
iterator state. A split in memory is put on the devices once and gathered there; a larger one is
decoded by Grain's threads ahead of need. Both give the same batches. Where several processes share
the devices, each of them decodes those rows of a batch that its own devices hold.
"""

import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int, UInt8

from ctxenc.data.images import Images, MemoryImages, RandomCrops, decode
from ctxenc.errors import UserError


@dataclass(frozen=True)
class Sampler:
    """A new permutation of the split each epoch; an epoch's last partial batch is dropped.

    Raises:
        UserError: the batch is larger than the split.
    """

    size: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch_size > self.size:
            raise UserError(
                f"batch_size={self.batch_size}: the training split has {self.size} images; "
                f"it takes 1 to {self.size}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the split."""
        return self.size // self.batch_size

    def epoch(self, step: int) -> int:
        """The epoch of a step, both counted from 0."""
        return step // self.steps_per_epoch

    def indices(self, step: int) -> Int[np.ndarray, " batch"]:
        """The images of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        return _permutation(self.size, self.seed, epoch)[start : start + self.batch_size]


@lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> Int[np.ndarray, " size"]:
    permutation = np.random.default_rng([seed, epoch]).permutation(size)
    permutation.flags.writeable = False  # the cache hands out views of it
    return permutation


Batch = UInt8[Array, "batch height width 3"]


def rows(
    devices: Collection[jax.Device], sharding: NamedSharding, batch_size: int
) -> Int[np.ndarray, " rows"]:
    """The rows of a batch that some of the devices hold, in order."""
    slices = sharding.devices_indices_map((batch_size,))
    held = {slices[device][0].indices(batch_size) for device in devices}
    return np.concatenate([np.arange(*bounds) for bounds in sorted(held)])


def _own_rows(sharding: NamedSharding, batch_size: int) -> Int[np.ndarray, " rows"]:
    return rows(sharding.addressable_devices, sharding, batch_size)


def _to_devices(own: np.ndarray, sharding: NamedSharding, rows: int) -> Array:
    """An array of so many rows, of which each process gives its own.

    Unlike `jax.device_put`, it does not have the processes compare what they give.
    """
    return jax.make_array_from_process_local_data(sharding, own, (rows, *own.shape[1:]))


class Loader(Protocol):
    """Training batches, one after the other, endlessly."""

    waited: float
    """Seconds that the devices have stood still for want of a batch."""

    def next_batch(self, running: Any) -> Batch:
        """The next batch; `running` is what the devices are still computing."""
        ...


@lru_cache(maxsize=1)
def _resident(images: MemoryImages, everywhere: NamedSharding) -> Array:
    """A whole split on every device, once for all the jobs of a sweep."""
    return _to_devices(images.array, everywhere, len(images.array))


@lru_cache(maxsize=4)
def _gathering(sharding: NamedSharding) -> Any:
    """Compiled once for all the jobs of a sweep."""
    return jax.jit(lambda s, i: jnp.take(s, i, axis=0), out_shardings=sharding)


class MemoryLoader:
    """Batches gathered on the devices, which hold the whole split.

    Args:
        images: the whole split; each device holds a copy.
        order: which images make up a step's batch.
        start: the first step, counted from 0.
        sharding: of the batch axis.
    """

    waited = 0.0  # gathering is the devices' own work

    def __init__(
        self,
        images: MemoryImages,
        order: Sampler,
        start: int,
        sharding: NamedSharding,
    ):
        self._everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        self._split = _resident(images, self._everywhere)
        self._gather = _gathering(sharding)
        self._order, self._step = order, start

    def next_batch(self, running: Any) -> Batch:
        """The next batch."""
        indices = self._order.indices(self._step)
        self._step += 1
        return self._gather(
            self._split, _to_devices(indices, self._everywhere, self._order.batch_size)
        )


class StreamedLoader:
    """The same batches as `MemoryLoader`'s, decoded ahead by `workers` threads."""

    def __init__(
        self, images: Images, order: Sampler, start: int, sharding: NamedSharding, workers: int
    ):
        self.waited = 0.0
        self._batches = _decoded(images, order, start, sharding, workers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-feed")
        self._next = self._thread.submit(next, self._batches)

    def next_batch(self, running: Any) -> Batch:
        """The next batch; where it is not there yet, `waited` grows once `running` is done.

        Raises:
            UserError: an image cannot be read any more.
        """
        if not self._next.done():
            jax.block_until_ready(running)
            start = time.monotonic()
            self._next.exception()  # waits
            self.waited += time.monotonic() - start
        batch = self._next.result()
        self._next = self._thread.submit(next, self._batches)
        return batch


def _decoded(
    images: Images, order: Sampler, start: int, sharding: NamedSharding, workers: int
) -> Iterator[Batch]:
    import grain  # a fifth of a second, which images in memory need not spend

    own = _own_rows(sharding, order.batch_size)

    def batch_of(step: int) -> UInt8[np.ndarray, "rows height width 3"] | UserError:
        shown = images
        if isinstance(images, RandomCrops):
            shown = images.of_epoch(order.seed, order.epoch(int(step)))
        try:
            return decode(shown, order.indices(int(step))[own].tolist(), threads=1)
        except UserError as error:
            return error  # raised below: Grain adds lines to what is raised in its threads

    steps = grain.MapDataset.range(start, np.iinfo(np.int64).max // order.batch_size)
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers)
    for batch in steps.map(batch_of).to_iter_dataset(options):
        if isinstance(batch, UserError):
            raise batch
        yield _to_devices(batch, sharding, order.batch_size)


def test_batches(
    images: Images, batch_size: int, sharding: NamedSharding
) -> Iterator[tuple[Batch, int]]:
    """(images, how many of them count) in index order; the last batch repeats its last image.

    Raises:
        UserError: an image cannot be read any more.
    """
    own = _own_rows(sharding, batch_size)
    for start in range(0, len(images), batch_size):
        wanted = np.minimum(np.arange(start, start + batch_size), len(images) - 1)
        batch = decode(images, wanted[own].tolist())
        yield _to_devices(batch, sharding, batch_size), min(batch_size, len(images) - start)


test_batches.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


def training_loader(
    images: Images, sampler: Sampler, start: int, sharding: NamedSharding, num_workers: int
) -> Loader:
    """Batches of uint8 training images from step `start` on, on the devices."""
    if isinstance(images, MemoryImages):
        return MemoryLoader(images, sampler, start, sharding)
    return StreamedLoader(images, sampler, start, sharding, num_workers)
