"""Which images make up each training batch, and how they get onto the devices.

A split in memory is put on the devices once and gathered there; a larger one is decoded by Grain's
threads ahead of need. Both give the same batches, and need no saved state to resume, as a batch
depends on (seed, step) alone. Each of several processes decodes the rows that its devices hold.
"""

import functools
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Shaped, UInt8

from ctxenc.data.images import EpochImages, Images, MemoryImages
from ctxenc.errors import UserError

Numbers = Int[np.ndarray, " images"]


class Batch(NamedTuple):
    """What a step is given."""

    images: UInt8[Array, "batch height width 3"]
    labels: Int[Array, " batch"] | None = None  # where some term of the loss is of them


@dataclass(frozen=True)
class Sampler:
    """A new permutation of the split each epoch; an epoch's last partial batch is dropped."""

    size: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch_size > self.size:
            raise UserError(
                f"batch_size={self.batch_size}: must be at most {self.size}, the number of "
                "training images"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the split."""
        return self.size // self.batch_size

    def indices(self, step: int) -> Int[np.ndarray, " batch"]:
        """The images of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        return _permutation(self.size, self.seed, epoch)[start : start + self.batch_size]


@functools.lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> Int[np.ndarray, " size"]:
    permutation = np.random.default_rng([seed, epoch]).permutation(size)
    permutation.flags.writeable = False  # the cache hands out views of it
    return permutation


class MemoryLoader:
    """Batches gathered on the devices, each of which holds the whole split."""

    waited = 0.0  # seconds; gathering is the devices' own work

    def __init__(
        self,
        images: MemoryImages,
        sampler: Sampler,
        start: int,
        sharding: NamedSharding,
        labels: Numbers | None = None,
    ):
        self._everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        self._gather = _gathering(images, self._everywhere, sharding)
        self._sampler, self._step = sampler, start
        self._labelled = functools.partial(_labelled, labels, sampler, sharding)

    def next_batch(self, running: Any) -> Batch:
        """The next batch; `running` is what the devices are still computing."""
        own, step = self._sampler.indices(self._step), self._step
        self._step += 1
        return self._labelled(step, self._gather(to_devices(own, self._everywhere, len(own))))


@functools.lru_cache(maxsize=1)  # the jobs of a sweep share the split on the devices
def _gathering(
    images: MemoryImages, everywhere: NamedSharding, sharding: NamedSharding
) -> Callable[[Int[Array, " batch"]], UInt8[Array, "batch height width 3"]]:
    take = jax.jit(functools.partial(jnp.take, axis=0), out_shardings=sharding)
    return functools.partial(take, to_devices(images.array, everywhere, len(images)))


class StreamedLoader:
    """Batches that are decoded, and put on the devices, while these work on those before.

    `AHEAD` of them, so that a step is started while the one before it runs, and not after it.
    """

    AHEAD = 4

    def __init__(self, batches: Iterator[Batch]):
        self.waited = 0.0  # seconds that the devices have stood still for want of a batch
        self._batches = batches
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-loader")
        self._coming = deque(self._thread.submit(next, batches) for _ in range(self.AHEAD))
        # A run that has stopped does not wait for batches that nobody will have.
        weakref.finalize(self, self._thread.shutdown, wait=False, cancel_futures=True)

    def next_batch(self, running: Any) -> Batch:
        """The next batch; where it is not there yet, `waited` grows once `running` is done."""
        coming = self._coming.popleft()
        if not coming.done():
            jax.block_until_ready(running)
            start = time.monotonic()
            coming.exception()  # waits
            self.waited += time.monotonic() - start
        batch = coming.result()
        self._coming.append(self._thread.submit(next, self._batches))
        return batch


def decoded(
    images: Images,
    sampler: Sampler,
    start: int,
    sharding: NamedSharding,
    num_workers: int,
    labels: Numbers | None = None,
) -> Iterator[Batch]:
    """The batches from step `start` on, decoded by `num_workers` threads at most."""
    import grain  # takes a fifth of a second, which images in memory need not spend

    num_workers = min(num_workers, getattr(images, "most_workers", num_workers))
    own = own_rows(sharding, sampler.batch_size)

    def batch_of(step: int) -> UInt8[np.ndarray, "rows height width 3"] | UserError:
        shown = images
        if isinstance(images, EpochImages):
            shown = images.of_epoch(sampler.seed, int(step) // sampler.steps_per_epoch)
        try:
            return np.stack([shown[i] for i in sampler.indices(int(step))[own].tolist()])
        except UserError as error:
            return error  # raised below: Grain adds lines to what is raised in its threads

    steps = grain.MapDataset.range(start, np.iinfo(np.int64).max // sampler.batch_size)
    options = grain.ReadOptions(num_threads=num_workers, prefetch_buffer_size=2 * num_workers)
    for step, batch in enumerate(steps.map(batch_of).to_iter_dataset(options), start):
        if isinstance(batch, UserError):
            raise batch
        on_devices = to_devices(batch, sharding, sampler.batch_size)
        yield _labelled(labels, sampler, sharding, step, on_devices)


def _labelled(
    labels: Numbers | None,
    sampler: Sampler,
    sharding: NamedSharding,
    step: int,
    images: UInt8[Array, "batch height width 3"],
) -> Batch:
    """The images of a step, with their labels where there are any."""
    if labels is None:
        return Batch(images)
    own = sampler.indices(step)[own_rows(sharding, sampler.batch_size)]
    return Batch(images, to_devices(labels[own], sharding, sampler.batch_size))


Loader = MemoryLoader | StreamedLoader  # of training batches, endlessly


def training_loader(
    images: Images,
    sampler: Sampler,
    start: int,
    sharding: NamedSharding,
    num_workers: int,
    labels: Numbers | None = None,
) -> Loader:
    """The batches of a training split from step `start` on, counted from 0, divided by `sharding`.

    `num_workers` threads decode images that are not in memory; `labels` are the images', where
    batches are to have them.
    """
    if isinstance(images, MemoryImages):
        return MemoryLoader(images, sampler, start, sharding, labels)
    return StreamedLoader(decoded(images, sampler, start, sharding, num_workers, labels))


def own_rows(sharding: NamedSharding, batch_size: int) -> Int[np.ndarray, " rows"]:
    """The rows of a batch that this process's devices hold, in order."""
    slices = sharding.devices_indices_map((batch_size,))
    held = {slices[device][0].indices(batch_size) for device in sharding.addressable_devices}
    return np.concatenate([np.arange(*bounds) for bounds in sorted(held)])


def to_devices(
    own: Shaped[np.ndarray, "own ..."], sharding: NamedSharding, rows: int
) -> Shaped[Array, "rows ..."]:
    """An array of so many rows, of which each process gives its own.

    Unlike `jax.device_put`, it does not have the processes compare what they give.
    """
    return jax.make_array_from_process_local_data(sharding, own, (rows, *own.shape[1:]))
