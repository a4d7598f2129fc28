"""The test split: held-out images with frozen masks, every image once."""

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

from ctxenc import masks, metrics
from ctxenc.baselines import Fill
from ctxenc.data.images import Images, decode
from ctxenc.data.loaders import own_rows, to_devices
from ctxenc.metrics.registry import measured_in_training
from ctxenc.parallel import devices
from ctxenc.state import Model, Variables
from ctxenc.step import eval_step

Columns = dict[str, Float[np.ndarray, " images"]]


@dataclass(frozen=True)
class Batch:
    """Some test images with their masks.

    Attributes:
        images: The whole batch, on the devices of all processes.
        mask: Likewise.
        valid: How many of its images count; the others only fill it up.
        own: The images that this process's devices hold, on the host.
        missing: Which of their pixels are missing.
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

    def measured(
        self, filled: Float[Array, "batch height width 3"], names: tuple[str, ...]
    ) -> dict[str, Float[Array, " batch"]]:
        """The per-image columns of some metrics for composites in [-1, 1]."""
        return _measured(self.images, filled, self.mask, names)


@dataclass(frozen=True)
class TestSplit:
    """Test images with their frozen masks, in batches divided among the devices."""

    __test__ = False  # not a pytest class

    images: Images
    model: Model
    batch_size: int
    sharding: NamedSharding

    def batches(self) -> Iterator[Batch]:
        """Every image once, in index order."""
        for start in range(0, len(self.images), self.batch_size):
            yield self.batch(np.arange(start, min(start + self.batch_size, len(self.images))))

    def batch(self, indices: Int[np.ndarray, " n"]) -> Batch:
        """The images at some indices, at most a batch of them.

        Raises:
            UserError: an image cannot be read.
        """
        rows, size = own_rows(self.sharding, self.batch_size), self.images.image_size
        wanted = np.resize(indices, self.batch_size)[rows]
        own = decode(self.images, wanted.tolist())
        drawn = np.asarray(masks.frozen(self.model.mask, jnp.asarray(wanted), size, size))
        images = to_devices(own, self.sharding, self.batch_size)
        mask = to_devices(drawn, self.sharding, self.batch_size)
        return Batch(images, mask, len(indices), own, drawn[..., 0] > 0)

    def generator(self, variables: Variables, fill_value: Float[Array, " 3"]) -> Columns:
        """Every image's metrics for the generator's fill."""
        return self._each(
            lambda b: eval_step(self.model, variables, b.images, b.mask, fill_value)[1]
        )

    def baseline(self, fill: Fill) -> Columns:
        """Every image's metrics for a baseline's fill (`ctxenc.baselines.prepared`)."""
        return self._each(lambda batch: batch.measured(batch.filled(fill), measured_in_training()))

    def mask_hash(self) -> str:
        """SHA-256 of the frozen masks: runs are ranked together only where it is the same."""
        return self._masks.sha256

    def missing(self) -> dict[str, float]:
        """The least, mean and most of an image that its mask covers, in per cent."""
        return dict(self._masks.missing)

    def fixed_mask(self) -> Bool[np.ndarray, "height width"] | None:
        """Which pixels are missing, where they are the same in every test image; else None."""
        return self._masks.fixed

    @property
    def _masks(self) -> "_Masks":
        return _described(self.model.mask, len(self.images), self.images.image_size)

    def _each(self, measure: Callable[[Batch], dict[str, Array]]) -> Columns:
        parts: list[dict[str, Array]] = []
        for batch in self.batches():
            parts.append(measure(batch))
            jax.block_until_ready(parts[-2:-1])  # one batch under way while the next is made
        values, count = jax.device_get(devices.whole(parts)), len(self.images)
        return {name: np.concatenate([p[name] for p in values])[:count] for name in values[0]}


@functools.partial(jax.jit, static_argnums=3)
def _measured(
    images: Array, filled: Array, mask: Array, names: tuple[str, ...]
) -> dict[str, Array]:
    return metrics.per_image(masks.to_float(images), filled, mask, names)


class _Masks(NamedTuple):
    """What is known of all frozen masks: see `TestSplit.mask_hash`, `missing`, `fixed_mask`."""

    sha256: str
    missing: dict[str, float]
    fixed: Bool[np.ndarray, "height width"] | None


@functools.lru_cache(maxsize=8)  # the jobs of a sweep mostly have the same masks
def _described(strategy: masks.MaskStrategy, count: int, size: int) -> _Masks:
    digest, shares, first, same = hashlib.sha256(f"{count} {size}".encode()), [], None, True
    for start in range(0, count, 1024):
        indices = jnp.arange(start, min(start + 1024, count))
        missing = np.asarray(masks.frozen(strategy, indices, size, size))[..., 0] > 0
        digest.update(np.packbits(missing).tobytes())
        shares.append(100 * missing.mean((1, 2)))
        first = missing[0] if first is None else first
        same = same and bool((missing == first).all())
    of = np.concatenate(shares)
    found = {"least": of.min(), "mean": of.mean(), "most": of.max()}
    rounded = {name: round(float(share), 4) for name, share in found.items()}
    return _Masks(digest.hexdigest(), rounded, first if same else None)
