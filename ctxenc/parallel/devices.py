"""Data parallelism: every device holds the whole state and its share of each batch.

The devices may belong to several processes (`ctxenc.parallel.processes`). Each process then gives
and reads its own devices' parts only, and all of them must do the same things in the same order.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, PyTree

from ctxenc.errors import UserError


def shardings() -> tuple[NamedSharding, NamedSharding]:
    """(a whole copy on every device, the leading axis divided among them), over all processes."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


def put(tree: PyTree, everywhere: NamedSharding) -> PyTree:
    """Values that every process has, a whole copy on every device."""
    if everywhere.is_fully_addressable:
        return jax.device_put(tree, everywhere)
    # Unlike this, `jax.device_put` would have the processes compare what they give.
    return jax.jit(lambda values: values, out_shardings=everywhere)(tree)


def whole(tree: PyTree) -> PyTree:
    """Arrays that every process can read: those that are divided among processes put together."""

    def gathered(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return leaf
        assert isinstance(leaf.sharding, NamedSharding)
        return settled(jax.device_put(leaf, NamedSharding(leaf.sharding.mesh, PartitionSpec())))

    return jax.tree.map(gathered, tree)


def on_devices(tree: PyTree, sharding: NamedSharding) -> PyTree[jax.ShapeDtypeStruct]:
    """The shapes and types of a tree, to be put on devices."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def settled(tree: PyTree) -> PyTree:
    """What a program returns in which processes exchange data, computed to the end on CPUs.

    There, of two such programs that are under way at once, each can wait for ever for threads that
    the other has: jaxlib 0.10 hangs at a hundred small gathers. Other devices keep to the order.
    """
    if jax.process_count() > 1 and jax.default_backend() == "cpu":
        jax.block_until_ready(tree)
    return tree


class Vote:
    """What the processes have asked for, known to all of them at the same step.

    One process knows at once. Several learn of it a step later, so that asking never makes the
    devices wait for the host.
    """

    def __init__(self) -> None:
        everywhere, self._divided = shardings()
        self._highest = jax.jit(jnp.max, out_shardings=everywhere)
        self._last: Int[Array, ""] | None = None

    def cast(self, asked: int) -> int:
        """The highest number that a process has asked for; 0 is nothing."""
        if self._divided.is_fully_addressable:
            return asked
        own, last = np.full(jax.local_device_count(), asked, np.int32), self._last
        votes = jax.make_array_from_process_local_data(self._divided, own)
        self._last = settled(self._highest(votes))
        return 0 if last is None else int(last)


def check_batch(batch_size: int, *, resumed: bool = False) -> None:
    """Refuse a batch that the devices cannot share equally, naming the nearest that they can.

    That of a `resumed` run cannot change: the devices have to.
    """
    devices = jax.device_count()
    if batch_size % devices and resumed:
        fitting = ", ".join(str(n) for n in range(1, devices) if batch_size % n == 0)
        raise UserError(
            f"batch_size={batch_size}: {devices} devices cannot share it equally, and a run that "
            f"is resumed keeps it; expected {fitting} of the devices"
        )
    if batch_size % devices:
        below = batch_size // devices * devices
        nearest = f"{below} or {below + devices}" if below else str(devices)
        raise UserError(
            f"batch_size={batch_size}: {devices} devices share it equally; "
            f"the nearest are {nearest}"
        )
