"""A draw among other masks, for each image."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ctxenc.errors import UserError
from ctxenc.masks import Mask, MaskStrategy


@dataclass(frozen=True, eq=False)  # hashed by identity, as a jitted function's static argument
class Mixture:
    """Each image's mask is one of its parts' masks, drawn in proportion to their weights."""

    parts: dict[str, MaskStrategy]
    weights: dict[str, float]  # 0 or more, for each of the parts; they need not add up to 1

    def __post_init__(self) -> None:
        for name in self.parts.keys() ^ self.weights.keys():
            has, lacks = ("part", "weight") if name in self.parts else ("weight", "part")
            raise UserError(f"mask.{lacks}s.{name}: missing; expected a {lacks} for each {has}")
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise UserError(f"mask.weights.{name}={weight:g}: expected 0 or more")
        if not any(self.weights.values()):
            raise UserError("mask.weights: all are 0; expected one above 0")

    @property
    def parts_used(self) -> list[MaskStrategy]:
        """The parts with a weight above 0."""
        return [self.parts[name] for name, weight in self.weights.items() if weight > 0]

    def __call__(self, key: PRNGKeyArray, batch: int, height: int, width: int) -> Mask:
        """Masks of every part with a weight, and of them one for each image."""
        weights = {name: weight for name, weight in self.weights.items() if weight > 0}
        key_choice, *keys = jax.random.split(key, 1 + len(weights))
        drawn = []
        for name, key_part in zip(weights, keys, strict=True):
            try:
                drawn.append(self.parts[name](key_part, batch, height, width))
            except UserError as error:
                raise UserError(f"mask.parts.{name}.{str(error).removeprefix('mask.')}") from None
        logits = jnp.log(jnp.array(list(weights.values())))
        chosen = jax.random.categorical(key_choice, logits, shape=(batch,))
        return jnp.stack(drawn)[chosen, jnp.arange(batch)]
