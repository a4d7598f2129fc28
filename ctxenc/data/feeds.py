"""How images become batches: one order, two ways to carry it out.

Which images make up a step's batch is a function of (seed, epoch) alone, so a resumed run needs no
iterator state. A split in memory is put on the devices once and gathered there; a larger one is
decoded by Grain's threads ahead of need. Both give the same batches.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Int, UInt8

from ctxenc.data.images import Images, decode
from ctxenc.errors import UserError


@dataclass(frozen=True)
class Order:
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


class Feed(Protocol):
    """Training batches, one after the other, endlessly."""

    waited: float
    """Seconds that the devices have stood still for want of a batch."""

    def take(self, running: Any) -> Batch:
        """The next batch; `running` is what the devices are still computing."""
        ...


class MemoryFeed:
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
        images: UInt8[np.ndarray, "n height width 3"],
        order: Order,
        start: int,
        sharding: NamedSharding,
    ):
        self._everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        self._split = jax.device_put(images, self._everywhere)
        self._gather = jax.jit(lambda s, i: jnp.take(s, i, axis=0), out_shardings=sharding)
        self._order, self._step = order, start

    def take(self, running: Any) -> Batch:
        """The next batch."""
        indices = jax.device_put(self._order.indices(self._step), self._everywhere)
        self._step += 1
        return self._gather(self._split, indices)


class StreamedFeed:
    """The same batches as `MemoryFeed`'s, decoded ahead by `workers` threads."""

    def __init__(
        self, images: Images, order: Order, start: int, sharding: NamedSharding, workers: int
    ):
        self.waited = 0.0
        self._batches = _decoded(images, order, start, sharding, workers)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-feed")
        self._next = self._thread.submit(next, self._batches)

    def take(self, running: Any) -> Batch:
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
    images: Images, order: Order, start: int, sharding: NamedSharding, workers: int
) -> Iterator[Batch]:
    import grain  # a fifth of a second, which images in memory need not spend

    def batch_of(step: int) -> UInt8[np.ndarray, "batch height width 3"] | UserError:
        try:
            return decode(images, order.indices(int(step)).tolist())
        except UserError as error:
            return error  # raised below: Grain adds lines to what is raised in its threads

    steps = grain.MapDataset.range(start, np.iinfo(np.int64).max // order.batch_size)
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * workers)
    for batch in steps.map(batch_of).to_iter_dataset(options):
        if isinstance(batch, UserError):
            raise batch
        yield jax.device_put(batch, sharding)


def test_batches(
    images: Images, batch_size: int
) -> Iterator[tuple[UInt8[np.ndarray, "batch height width 3"], int]]:
    """(images, how many of them count) in index order; the last batch repeats its last image."""
    for start in range(0, len(images), batch_size):
        wanted = np.arange(start, start + batch_size)
        valid = int((wanted < len(images)).sum())
        yield decode(images, np.minimum(wanted, len(images) - 1).tolist()), valid


test_batches.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's
