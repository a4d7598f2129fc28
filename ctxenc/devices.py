"""Data parallelism: every device holds the whole state and its share of each batch."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ctxenc.errors import UserError


def mesh() -> Mesh:
    """All devices along one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(over: Mesh) -> NamedSharding:
    """A whole copy on every device."""
    return NamedSharding(over, PartitionSpec())


def split(over: Mesh) -> NamedSharding:
    """The leading (batch) axis divided among the devices."""
    return NamedSharding(over, PartitionSpec("data"))


def check_batch(batch_size: int) -> None:
    """Refuse a batch that the devices cannot share equally, naming the nearest that they can."""
    count = jax.device_count()
    if batch_size % count:
        below = batch_size // count * count
        nearest = f"{below} or {below + count}" if below else str(count)
        raise UserError(
            f"batch_size={batch_size}: {count} devices share it equally; the nearest are {nearest}"
        )
