"""How many held-out images are all but the same as one that is trained on.

Image sets hold the same photograph twice, cropped or compressed another way: 3 % of CIFAR-10's test
images have such a copy in its training split (Barz & Denzler, "Do we train on test data?", 2020).
"""

import math

import numpy as np
from jaxtyping import Float, UInt8

from ctxenc.data import cache
from ctxenc.data.images import Images, MemoryImages, fingerprint

GRID = 8  # cells a side of the thumbnails by which the most similar image is found
ALIKE = 0.95  # correlation of two images' pixels from which they are near copies
AT_ONCE = 3_072_000  # values of images: a thousand of CIFAR-10


def near_copies(images: Images, others: Images) -> int | None:
    """How many of `images` have a near copy among `others`; None where these are not in memory.

    Of each image the most similar other one is found by their thumbnails, and then compared pixel
    by pixel: brightness and contrast do not matter, and a mirrored or shifted copy is not found.
    """
    if not isinstance(images, MemoryImages) or not isinstance(others, MemoryImages):
        return None
    if not len(others):
        return 0
    key = f"near copies of {fingerprint(images)} in {fingerprint(others)}"
    if isinstance(kept := cache.load(key), int):
        return kept
    found, thumbnails = 0, _standardised(_thumbnails(others.array))
    at_once = max(1, AT_ONCE // math.prod(images.array.shape[1:]))
    for start in range(0, len(images), at_once):
        part = images.array[start : start + at_once]
        nearest = (_standardised(_thumbnails(part)) @ thumbnails.T).argmax(axis=1)
        pairs = _standardised(part) * _standardised(others.array[nearest])
        found += int((pairs.sum(axis=1) >= ALIKE).sum())
    cache.save(key, found)
    return found


def _thumbnails(
    array: UInt8[np.ndarray, "n size size 3"],
) -> Float[np.ndarray, "n grid grid 3"]:
    edges = np.linspace(0, array.shape[1], GRID, endpoint=False).astype(int)
    rows = np.add.reduceat(array, edges, axis=1, dtype=np.float32)
    return np.add.reduceat(rows, edges, axis=2)


def _standardised(array: np.ndarray) -> Float[np.ndarray, "n values"]:
    """Vectors of mean 0 and length 1, whose products are correlations."""
    flat = array.reshape(len(array), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
