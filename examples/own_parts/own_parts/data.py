"""A dataset: disks of random colours, drawn when it is opened."""

import numpy as np

from ctxenc.data.images import Dataset, MemoryImages
from ctxenc.errors import UserError


def disks(*, count: int, image_size: int) -> Dataset:
    """`count` images of one disk each; of every ten, one is tested on and one validated on.

    Args:
        count: how many images.
        image_size: height and width in pixels, given by ctxenc.

    Raises:
        UserError: fewer than ten images.
    """
    if count < 10:
        raise UserError(f"dataset.count={count}: expected 10 or more")
    rng = np.random.default_rng(0)
    centre, radius = rng.uniform(0.3, 0.7, (2, count, 1, 1)), rng.uniform(0.15, 0.4, (count, 1, 1))
    colours = rng.integers(0, 256, (2, count, 1, 1, 3))
    at = (np.arange(image_size) + 0.5) / image_size
    inside = np.hypot(at[:, None] - centre[0], at[None, :] - centre[1]) < radius
    images = np.where(inside[..., None], *colours).astype(np.uint8)
    place = np.arange(count) % 10
    parts = images[place > 1], images[place == 1], images[place == 0]
    return Dataset("disks", *map(MemoryImages, parts))
