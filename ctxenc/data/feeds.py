"""How images become batches: one order, two ways to carry it out.

Which images make up a step's batch is a function of (seed, epoch) alone, so a resumed run needs no
iterator state. A split in memory is put on the devices once and gathered there; a larger one is
decoded by Grain's threads ahead of need. Both give the same batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import grain
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


def memory_feed(
    images: UInt8[np.ndarray, "n height width 3"], order: Order, start: int, sharding: NamedSharding
) -> Iterator[UInt8[Array, "batch height width 3"]]:
    """The batches from step `start` on, gathered on the devices, endlessly.

    Args:
        images: the whole split; each device holds a copy.
        order: which images make up a step's batch.
        start: the first step, counted from 0.
        sharding: of the batch axis.
    """
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    split = jax.device_put(images, everywhere)
    take = jax.jit(lambda split, indices: jnp.take(split, indices, axis=0), out_shardings=sharding)
    step = start
    while True:
        yield take(split, jax.device_put(order.indices(step), everywhere))
        step += 1


def streamed_feed(
    images: Images, order: Order, start: int, sharding: NamedSharding, workers: int
) -> Iterator[UInt8[Array, "batch height width 3"]]:
    """The same batches as `memory_feed`, decoded ahead by `workers` threads.

    Raises:
        UserError: an image cannot be read any more.
    """

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
