"""A draw among other masks, for each image."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask, MaskStrategy


@dataclass(frozen=True, eq=False)  # hashed by identity, as a jitted function's static argument
class Mixture:
    """Each image's mask is one of its parts' masks, drawn in proportion to their weights.

    Attributes:
        parts: mask strategies by name.
        weights: 0 or more, for each of the names; they need not add to 1.

    Raises:
        UserError: names without a weight or the other way round, or bad weights.
    """

    parts: dict[str, MaskStrategy]
    weights: dict[str, float]

    def __post_init__(self) -> None:
        for name in self.parts.keys() ^ self.weights.keys():
            lacks = "weight" if name in self.parts else "part"
            raise UserError(f"mask.{lacks}s.{name}: {name} has no {lacks}; each part takes one")
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise UserError(f"mask.weights.{name}={weight:g}: it takes a number of at least 0")
        if not any(self.weights.values()):
            raise UserError("mask.weights: all of them are 0; one takes more")

    @property
    def used(self) -> list[str]:
        """The names of the parts with a weight above 0."""
        return [name for name, weight in self.weights.items() if weight > 0]

    @property
    def parts_used(self) -> list[MaskStrategy]:
        """The parts with a weight above 0."""
        return [self.parts[name] for name in self.used]

    def __call__(self, key: PRNGKeyArray, batch: int, height: int, width: int) -> Mask:
        """Masks of every part with a weight, and of them one for each image."""
        used = self.used
        key_choice, *keys = jax.random.split(key, 1 + len(used))
        masks = jnp.stack(
            [
                self._part(name, one, batch, height, width)
                for name, one in zip(used, keys, strict=True)
            ]
        )
        weights = jnp.log(jnp.array([self.weights[name] for name in used]))
        chosen = jax.random.categorical(key_choice, weights, shape=(batch,))
        return masks[chosen, jnp.arange(batch)]

    def _part(self, name: str, key: PRNGKeyArray, batch: int, height: int, width: int) -> Mask:
        try:
            return self.parts[name](key, batch, height, width)
        except UserError as error:
            raise UserError(f"mask.parts.{name}.{str(error).removeprefix('mask.')}") from None
