"""What a split of images is, in a few bytes: its identity and its mean colour."""

import hashlib

import numpy as np
from jaxtyping import Float

from ctxenc.data import cache
from ctxenc.data.images import Images, MemoryImages, decode

SAMPLE = 10_000  # images: the mean colour of more is estimated from this many, evenly spread
MANY = 1000  # images not in memory, whose mean colour takes so long that it is remembered


@cache.for_the_next_job
def fingerprint(images: Images) -> str:
    """SHA-256 over every image's identity, in order: equal for equal splits."""
    digest = hashlib.sha256(f"{len(images)} {images.image_size}".encode())
    for index in range(len(images)):
        digest.update(hashlib.sha256(images.identity(index)).digest())
    return digest.hexdigest()


def mean_colour(images: Images) -> Float[np.ndarray, " 3"]:
    """The mean of every pixel, red, green and blue in [-1, 1].

    That of many images which have yet to be decoded is remembered under their fingerprint.
    """
    if isinstance(images, MemoryImages) or len(images) < MANY:
        return _mean_colour(images)
    name = f"mean-colour-{fingerprint(images)}"
    known = cache.recall(name)
    if isinstance(known, list) and len(known) == 3 and all(isinstance(c, float) for c in known):
        return np.array(known)
    colour = _mean_colour(images)
    cache.remember(name, colour.tolist())
    return colour


@cache.for_the_next_job
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
