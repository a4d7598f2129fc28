"""A held-out split, for validation or for the test: images with frozen masks, every image once."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Bool, Float, Int, UInt8

from ctxenc import masks, metrics, step
from ctxenc.baselines import Fill
from ctxenc.data.images import Images, decode
from ctxenc.data.loaders import own_rows, to_devices
from ctxenc.metrics.bootstrap import Columns
from ctxenc.parallel import devices
from ctxenc.state import Model, Variables


@dataclass(frozen=True)
class Batch:
    """Some images with their masks, on the devices of all processes.

    The first `valid` of them count; the others only fill the batch up. `own` and `missing` are the
    images and masks that this process's devices hold, on the host.
    """

    images: UInt8[Array, "batch height width 3"]
    mask: masks.Mask
    valid: int
    own: UInt8[np.ndarray, "rows height width 3"]
    missing: Bool[np.ndarray, "rows height width"]

    def filled(self, fill: Fill) -> Float[Array, "batch height width 3"]:
        """The composites of a baseline, which fills each process's own images on the host."""
        assert isinstance(self.images.sharding, NamedSharding)
        return to_devices(fill(self.own, self.missing), self.images.sharding, len(self.images))


class FrozenMasks(NamedTuple):
    """What is known of all masks of a split."""

    sha256: str  # runs are ranked together only where it is the same
    missing: dict[str, float]  # the least, mean and most that a mask covers, in per cent
    fixed: Bool[np.ndarray, "height width"] | None  # the missing pixels, if always the same


@dataclass(frozen=True)
class HeldOutSplit:
    """Images with their frozen masks, in batches divided among the devices."""

    images: Images
    model: Model
    batch_size: int
    sharding: NamedSharding

    @property
    def frozen_masks(self) -> FrozenMasks:
        """What is known of its masks."""
        return _frozen_masks(self.model.mask, len(self.images), self.images.image_size)

    def batches(self, first: int | None = None) -> Iterator[Batch]:
        """Every image once, in index order; or the first so many."""
        wanted = np.arange(len(self.images))[:first]
        for start in range(0, len(wanted), self.batch_size):
            yield self.batch(wanted[start : start + self.batch_size])

    def batch(self, indices: Int[np.ndarray, " n"]) -> Batch:
        """The images at some indices, at most a batch of them.

        Raises:
            UserError: an image cannot be read.
        """
        size, rows = self.images.image_size, self.batch_size
        wanted = np.resize(indices, rows)[own_rows(self.sharding, rows)]
        own = decode(self.images, wanted.tolist())
        drawn = np.asarray(masks.frozen(self.model.mask, jnp.asarray(wanted), size, size))
        images, mask = [to_devices(array, self.sharding, rows) for array in (own, drawn)]
        return Batch(images, mask, len(indices), own, drawn[..., 0] > 0)

    def generator(self, variables: Variables, fill_value: Float[Array, " 3"]) -> Columns:
        """Every image's metrics for the generator's fill."""
        return self._measure(
            lambda b: step.fill(self.model, variables, b.images, b.mask, fill_value)
        )

    def baseline(self, fill: Fill, first: int | None = None) -> Columns:
        """Every image's metrics for a baseline's fill (`ctxenc.baselines.prepared`)."""
        return self._measure(lambda batch: batch.filled(fill), first)

    def classified_right(
        self, variables: Variables, head: Variables, labels: Int[np.ndarray, " images"]
    ) -> float:
        """The share of the images whose label a label head finds."""
        model = self.model
        parts = [step.classified(model, variables, head, b.images) for b in self.batches()]
        found = np.concatenate(jax.device_get(devices.whole(parts)))[: len(labels)]
        return float(np.mean(found == labels))

    def _measure(
        self,
        fill: Callable[[Batch], Float[Array, "batch height width 3"]],
        first: int | None = None,
    ) -> Columns:
        names, parts = metrics.measured_in_training(), []
        for batch in self.batches(first):
            parts.append(measured(batch.images, fill(batch), batch.mask, names))
            jax.block_until_ready(parts[-2:-1])  # one batch under way while the next is made
        values, count = jax.device_get(devices.whole(parts)), len(self.images)
        count = count if first is None else min(first, count)
        return {name: np.concatenate([p[name] for p in values])[:count] for name in values[0]}


@functools.partial(jax.jit, static_argnums=3)
def measured(
    images: UInt8[Array, "batch height width 3"],
    filled: Float[Array, "batch height width 3"],
    mask: masks.Mask,
    names: tuple[str, ...],
) -> dict[str, Float[Array, " batch"]]:
    """The per-image columns of some metrics for composites in [-1, 1]."""
    return metrics.per_image(masks.to_float(images), filled, mask, names)


@functools.lru_cache(maxsize=8)  # the jobs of a sweep mostly have the same masks
def _frozen_masks(strategy: masks.MaskStrategy, count: int, size: int) -> FrozenMasks:
    digest, shares = hashlib.sha256(f"{count} {size}".encode()), []
    always, ever = np.ones((size, size), bool), np.zeros((size, size), bool)
    most = masks.MOST_DRAWN // size**2 // 8 * 8  # in whole bytes: the same digest
    at_once = max(8, min(1024, most))
    for start in range(0, count, at_once):
        indices = jnp.arange(start, min(start + at_once, count))
        missing = np.asarray(masks.frozen(strategy, indices, size, size))[..., 0] > 0
        digest.update(np.packbits(missing).tobytes())
        shares.append(100 * missing.mean((1, 2)))
        always &= missing.all(axis=0)
        ever |= missing.any(axis=0)
    of = np.concatenate(shares)
    found = {"least": of.min(), "mean": of.mean(), "most": of.max()}
    rounded = {name: round(float(share), 4) for name, share in found.items()}
    return FrozenMasks(digest.hexdigest(), rounded, always if (always == ever).all() else None)
