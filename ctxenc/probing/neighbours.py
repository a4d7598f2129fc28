"""k nearest neighbours without training, as Wu et al. (2018) vote.

"Unsupervised Feature Learning via Non-parametric Instance Discrimination": the `NEIGHBOURS`
training images whose standardised features have the highest cosine with an image's each vote for
their class with exp(cosine / `TEMPERATURE`). Products' operands are rounded to bfloat16, which
changes a cosine by some 1e-4.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, BFloat16, Float, Int

from ctxenc.probing.features import Features, Standard

NEIGHBOURS = 20
TEMPERATURE = 0.07
MOST_AT_ONCE = 2**27  # numbers: of the training images' features, those in memory
SIMILARITIES = 2**25  # numbers: of the cosines, likewise


def nearest(
    train: Features, queries: Features, standard: Standard, k: int = NEIGHBOURS
) -> tuple[Float[np.ndarray, "queries k"], Int[np.ndarray, "queries k"]]:
    """(The cosines with the `k` nearest training images, nearest first, and which these are)."""
    k = min(k, len(train))
    cosines = np.full((len(queries), k), -np.inf, np.float32)
    indices = np.zeros((len(queries), k), np.int64)
    for start, bank in _banks(train, standard):
        at = 0
        for chunk in queries.chunks(standard):
            rows = max(1, SIMILARITIES // len(bank))
            for first in range(0, len(chunk), rows):
                part = chunk[first : first + rows]
                found, where = jax.device_get(_nearest(part, bank, min(k, len(bank))))
                here = slice(at, at + len(part))
                both = np.concatenate([cosines[here], found], axis=1)
                which = np.concatenate([indices[here], where + start], axis=1)
                order = np.argsort(-both, axis=1, kind="stable")[:, :k]
                cosines[here] = np.take_along_axis(both, order, axis=1)
                indices[here] = np.take_along_axis(which, order, axis=1)
                at += len(part)
    return cosines, indices


def vote(
    cosines: Float[np.ndarray, "queries k"], classes: Int[np.ndarray, "queries k"], count: int
) -> Int[np.ndarray, " queries"]:
    """Each query's class, of `count`, from those of its neighbours."""
    weights = np.exp(cosines.astype(np.float64) / TEMPERATURE)
    places = classes + count * np.arange(len(classes))[:, None]
    votes = np.bincount(places.ravel(), weights.ravel(), minlength=count * len(classes))
    return votes.reshape(-1, count).argmax(axis=1)


def _banks(
    train: Features, standard: Standard
) -> Iterator[tuple[int, BFloat16[Array, "rows features"]]]:
    """The training images' features, of length 1, in as few parts as `MOST_AT_ONCE` allows."""
    parts: list[Array] = []
    start = 0
    for chunk in train.chunks(standard):
        if parts and (sum(map(len, parts)) + len(chunk)) * chunk.shape[1] > MOST_AT_ONCE:
            yield start, jnp.concatenate(parts)
            start += sum(map(len, parts))
            parts = []
        parts.append(_directions(chunk))
    yield start, jnp.concatenate(parts)


@jax.jit
def _directions(features: Float[Array, "n f"]) -> BFloat16[Array, "n f"]:
    length = jnp.linalg.norm(features, axis=1, keepdims=True)
    return (features / jnp.maximum(length, 1e-12)).astype(jnp.bfloat16)


@functools.partial(jax.jit, static_argnums=2)
def _nearest(
    queries: Float[Array, "q f"], bank: BFloat16[Array, "n f"], k: int
) -> tuple[Float[Array, "q k"], Int[Array, "q k"]]:
    axes = ((1,), (1,)), ((), ())
    cosines = jax.lax.dot_general(
        _directions(queries), bank, axes, preferred_element_type=jnp.float32
    )
    highest, where = jax.lax.top_k(cosines, k)
    return highest, where
