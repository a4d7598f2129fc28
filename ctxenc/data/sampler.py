"""Which images make up a training step's batch: a function of (seed, epoch) alone."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from ctxenc.errors import UserError


@dataclass(frozen=True)
class Sampler:
    """A new permutation of the split each epoch; an epoch's last partial batch is dropped.

    Raises:
        UserError: the batch is larger than the split.
    """

    size: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch_size > self.size:
            raise UserError(
                f"batch_size={self.batch_size}: must be at most {self.size}, the number of "
                "training images"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the split."""
        return self.size // self.batch_size

    def epoch(self, step: int) -> int:
        """The epoch of a step, both counted from 0."""
        return step // self.steps_per_epoch

    def indices(self, step: int) -> Int[np.ndarray, " batch"]:
        """The images of a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        return _permutation(self.size, self.seed, epoch)[start : start + self.batch_size]


@lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> Int[np.ndarray, " size"]:
    permutation = np.random.default_rng([seed, epoch]).permutation(size)
    permutation.flags.writeable = False  # the cache hands out views of it
    return permutation
