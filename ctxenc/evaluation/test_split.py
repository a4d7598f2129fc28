"""The test split under the metric contract: held-out images, frozen masks, every image once."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Bool, Float, UInt8

from ctxenc import masks, metrics
from ctxenc.data.images import Images
from ctxenc.data.loaders import test_batches
from ctxenc.parallel import devices
from ctxenc.state import Model, Variables
from ctxenc.step import eval_step

PerImage = dict[str, Float[np.ndarray, " images"]]
Batch = tuple[UInt8[Array, "batch height width 3"], masks.Mask]


@dataclass(frozen=True)
class TestSplit:
    """Test images with their frozen masks, in batches sharded over the devices."""

    __test__ = False  # not a pytest class

    images: Images
    model: Model
    batch_size: int
    sharding: NamedSharding

    def batches(self) -> Iterator[tuple[Batch, int]]:
        """((images, masks), how many of them count), in index order."""
        start = 0
        for images, valid in test_batches(self.images, self.batch_size, self.sharding):
            indices = jnp.arange(start, start + len(images))
            mask = frozen(self.model.mask, indices, self.images.image_size)
            yield (images, devices.put(mask, self.sharding)), valid
            start += valid

    def generator(self, variables: Variables, colour: Float[Array, " 3"]) -> PerImage:
        """Every image's metrics for the generator's fill."""
        return self._each(
            lambda images, mask: eval_step(self.model, variables, images, mask, colour)[1]
        )

    def mean_colour(self, colour: Float[Array, " 3"]) -> PerImage:
        """Every image's metrics for a hole filled with one colour in [-1, 1]."""
        return self._each(lambda images, mask: _mean_colour(images, mask, colour))

    def context_mean(self) -> PerImage:
        """Every image's metrics for a hole filled with its own context's mean colour."""
        return self._each(_context_mean)

    def mask_hash(self) -> str:
        """SHA-256 of the frozen masks: runs are ranked together only where it is the same."""
        return _hash(self.model.mask, len(self.images), self.images.image_size)

    def missing(self) -> dict[str, float]:
        """The least, mean and most of an image that its mask covers, in per cent."""
        shares = _shares(self.model.mask, len(self.images), self.images.image_size)
        found = {"least": shares.min(), "mean": shares.mean(), "most": shares.max()}
        return {name: round(100 * float(share), 4) for name, share in found.items()}

    def fixed_mask(self) -> Bool[np.ndarray, "height width"] | None:
        """Which pixels are missing, where they are the same in every test image; else None."""
        first = None
        for mask in _all_frozen(self.model.mask, len(self.images), self.images.image_size):
            first = mask[0] if first is None else first
            if (mask != first).any():
                return None
        return first

    def _each(self, measure: Callable[..., Any]) -> PerImage:
        parts: list[tuple[Any, int]] = []
        for (images, mask), valid in self.batches():
            parts.append((measure(images, mask), valid))
            jax.block_until_ready(parts[:-1][-1:])  # one batch under way while the next is made
        values = jax.device_get(devices.whole(parts))
        return {
            n: np.concatenate([part[n][:valid] for part, valid in values]) for n in values[0][0]
        }


@jax.jit
def _context_mean(images: Array, mask: Array) -> Any:
    real = masks.to_float(images)
    return metrics.per_image(real, _context_fill(real, mask), mask)


@jax.jit
def _mean_colour(images: Array, mask: Array, colour: Array) -> Any:
    real = masks.to_float(images)
    return metrics.per_image(real, masks.apply(real, mask, colour), mask)


@functools.partial(jax.jit, static_argnums=(0, 2))
def frozen(strategy: masks.MaskStrategy, indices: Array, image_size: int) -> masks.Mask:
    """`masks.frozen`, compiled: eagerly it would take a second."""
    return masks.frozen(strategy, indices, image_size, image_size)


def _all_frozen(
    strategy: masks.MaskStrategy, count: int, image_size: int
) -> Iterator[Bool[np.ndarray, "batch height width"]]:
    """The frozen masks of so many images, in index order, some at a time."""
    for start in range(0, count, 1024):
        indices = jnp.arange(start, min(start + 1024, count))
        yield np.asarray(frozen(strategy, indices, image_size))[..., 0] > 0


# Kept, as the jobs of a sweep mostly have the same masks.
@functools.lru_cache(maxsize=8)
def _hash(strategy: masks.MaskStrategy, count: int, image_size: int) -> str:
    digest = hashlib.sha256(f"{count} {image_size}".encode())
    for mask in _all_frozen(strategy, count, image_size):
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=8)
def _shares(
    strategy: masks.MaskStrategy, count: int, image_size: int
) -> Float[np.ndarray, " images"]:
    return np.concatenate([m.mean((1, 2)) for m in _all_frozen(strategy, count, image_size)])


def _context_fill(
    real: Float[Array, "batch height width 3"], mask: Float[Array, "batch height width 1"]
) -> Float[Array, "batch height width 3"]:
    """The composite whose hole has the mean colour of its own image's visible pixels."""
    visible = 1 - mask
    mean = (real * visible).sum((1, 2), keepdims=True) / visible.sum((1, 2), keepdims=True)
    return jnp.where(mask > 0, mean, real)
