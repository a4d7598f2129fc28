"""What tells one split of images from another, in a few bytes: a fingerprint and a mean colour."""

import hashlib

import numpy as np
from jaxtyping import Float

from ctxenc.data.images import Images, MemoryImages, decode, once_per_split

SAMPLE = 10_000  # images: the mean colour of more is estimated from this many, evenly spread


@once_per_split
def fingerprint(images: Images) -> str:
    """SHA-256 over what tells each image from others, in order: equal for equal splits."""
    digest = hashlib.sha256(f"{len(images)} {images.image_size}".encode())
    identity = getattr(images, "identity", None)
    for index in range(len(images)):
        own = identity(index) if identity else images[index].tobytes()
        digest.update(hashlib.sha256(own).digest())
    return digest.hexdigest()


def mean_colour(images: Images) -> Float[np.ndarray, " 3"]:
    """The mean of every pixel, red, green and blue in [-1, 1].

    That of images which have yet to be decoded is kept for later processes, by their fingerprint.
    """
    if isinstance(images, MemoryImages):
        return _mean_colour(images)
    from ctxenc.data import cache  # takes 40 ms, which images in memory need not spend

    key = f"mean colour of {fingerprint(images)}"
    colour = cache.load(key)
    if colour is None:
        colour = _mean_colour(images).tolist()
        cache.save(key, colour)
    return np.array(colour)


@once_per_split
def _mean_colour(images: Images) -> Float[np.ndarray, " 3"]:
    count = min(len(images), SAMPLE)
    indices = np.linspace(0, len(images) - 1, count).round().astype(int)
    total = np.zeros(3)
    for start in range(0, count, 500):
        part = decode(images, indices[start : start + 500].tolist())
        total += part.mean(axis=(1, 2), dtype=np.float64).sum(axis=0)
    colour: Float[np.ndarray, " 3"] = total / count / 127.5 - 1
    colour.flags.writeable = False
    return colour
