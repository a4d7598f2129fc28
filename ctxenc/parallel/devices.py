"""Data parallelism: every device holds the whole state and its share of each batch.

The devices may belong to several processes (`ctxenc.parallel.processes`). Each process then gives
and reads its own devices' parts only, and all of them must do the same things in the same order.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, PyTree, Shaped

from ctxenc.errors import UserError


def shardings() -> tuple[NamedSharding, NamedSharding]:
    """(a whole copy on every device, the leading axis divided among them), over all processes."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


def put(
    tree: PyTree[Shaped[Array | np.ndarray, "..."]], sharding: NamedSharding
) -> PyTree[Shaped[Array, "..."]]:
    """Values that every process has, on the devices of all."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: _placed(leaf, sharding), tree)


def _placed(leaf: Any, sharding: NamedSharding) -> Array:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.jit(lambda key: key, out_shardings=sharding)(leaf)
    values = np.asarray(leaf)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])


def whole(tree: PyTree) -> PyTree:
    """Arrays that every process can read: those that are divided among processes put together."""

    def gathered(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return leaf
        assert isinstance(leaf.sharding, NamedSharding)
        return settled(_gather(leaf.sharding.mesh)(leaf))

    return jax.tree.map(gathered, tree)


def on_devices(tree: PyTree, sharding: NamedSharding) -> PyTree[jax.ShapeDtypeStruct]:
    """The shapes and types of a tree, to be put on devices."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def on_host(array: Shaped[Array, "..."]) -> np.ndarray:
    """A replicated array as this process has it."""
    return np.asarray(array.addressable_data(0))


def settled(tree: PyTree) -> PyTree:
    """What a program returns in which processes exchange data, computed to the end on CPUs.

    There, of two such programs that are under way at once, each can wait for ever for threads that
    the other has: jaxlib 0.10 hangs at a hundred small gathers. Other devices keep to the order.
    """
    if jax.process_count() > 1 and jax.default_backend() == "cpu":
        jax.block_until_ready(tree)
    return tree


@functools.cache
def _gather(over: Mesh) -> Callable[[Array], Array]:
    return jax.jit(lambda array: array, out_shardings=NamedSharding(over, PartitionSpec()))


class Vote:
    """What the processes have asked for, known to all of them at the same step.

    One process knows at once. Several learn of it a step later, so that asking never makes the
    devices wait for the host.
    """

    def __init__(self) -> None:
        everywhere, self._divided = shardings()
        self._highest = jax.jit(lambda asked: asked.max(), out_shardings=everywhere)
        self._last: Int[Array, ""] | None = None

    def cast(self, asked: int) -> int:
        """The highest number that a process has asked for; 0 is nothing."""
        if self._divided.is_fully_addressable:
            return asked
        shape, last = (self._divided.mesh.size,), self._last
        votes = jax.make_array_from_callback(
            shape, self._divided, lambda index: np.full(shape, asked, np.int32)[index]
        )
        self._last = settled(self._highest(votes))
        return 0 if last is None else int(last)


def rows_shared(count: int) -> int:
    """The least number of rows, at least `count`, that the devices can share equally."""
    return -(-count // jax.device_count()) * jax.device_count()


def check_batch(batch_size: int) -> None:
    """Refuse a batch that the devices cannot share equally, naming the nearest that they can."""
    devices = jax.device_count()
    if batch_size % devices:
        below = batch_size // devices * devices
        nearest = f"{below} or {below + devices}" if below else str(devices)
        raise UserError(
            f"batch_size={batch_size}: {devices} devices share it equally; "
            f"the nearest are {nearest}"
        )
