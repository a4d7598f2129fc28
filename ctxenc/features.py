"""What a generator's encoder sees in images: the maps after each of its stages.

The images are shown whole: nothing is hidden, and where the generator is given a mask, it is zero.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
from flax.errors import FlaxError
from jax import export
from jaxtyping import Array, Float

from ctxenc.errors import UserError
from ctxenc.geometry import Images
from ctxenc.models.layers import STAGES
from ctxenc.state import Model, Variables

Maps = dict[str, Float[Array, "batch _ _ _"]]  # by the names that the network gives its stages
Path = tuple[str, ...]  # of an array among variables: params, Conv_0, kernel


def stages(model: Model, variables: Variables, images: Images) -> Maps:
    """The maps after each of the encoder's stages, first to last, with BatchNorm's running means.

    Under jit nothing is computed of stages that are not used, and nothing of the decoder.

    Args:
        model: whose generator's encoder it is.
        variables: the generator's.
        images: in [-1, 1].

    Raises:
        UserError: the generator names no stages.
    """
    return _sown(model, variables, images, train=False)[0]


def names(model: Model, variables: Variables, image_size: int) -> tuple[str, ...]:
    """The stages' names, first to last, which the keys of what jit returns are not.

    Raises:
        UserError: the generator names none, or its weights are for images of another size.
    """
    found: list[str] = []
    blank = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    try:
        jax.eval_shape(lambda v, x: found.extend(stages(model, v, x)), variables, blank)
    except (FlaxError, TypeError, ValueError):
        raise UserError(
            f"image_size={image_size}: this generator's weights are for images of another size"
        ) from None
    return tuple(found)


def training_stages(model: Model, variables: Variables, images: Images) -> tuple[Maps, Any]:
    """As `stages`, but normalised by these images' own statistics.

    Returns (the maps, the new running statistics, those of the decoder's layers among them).
    """
    return _sown(model, variables, images, train=True)


def encoder(
    model: Model, variables: Variables, image_size: int, wanted: Collection[str]
) -> dict[Path, Array]:
    """Those of a generator's variables that some stages depend on, by their paths.

    `completed` is the way back.
    """

    def program(variables: Variables, images: Images) -> Maps:
        found = stages(model, variables, images)
        return {name: found[name] for name in wanted}

    leaves, tree = jax.tree_util.tree_flatten(variables)
    blank = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    used = set(export.export(jax.jit(program))(variables, blank).module_kept_var_idx)
    kept = jax.tree_util.tree_unflatten(tree, [n in used for n in range(len(leaves))])
    by_path = flax.traverse_util.flatten_dict(variables)
    return {path: by_path[path] for path, k in flax.traverse_util.flatten_dict(kept).items() if k}


def completed(own: dict[Path, Array], others: Variables) -> Variables:
    """The variables of an encoder, and `others` where a generator has more."""
    return flax.traverse_util.unflatten_dict(flax.traverse_util.flatten_dict(others) | own)


def _sown(model: Model, variables: Variables, images: Images, *, train: bool) -> tuple[Maps, Any]:
    if model.geometry.mask_channel:
        images = jnp.concatenate([images, jnp.zeros_like(images[..., :1])], axis=-1)
    mutable = [STAGES, "batch_stats"] if train else [STAGES]
    with model.matmul_precision():
        _, updated = model.generator.apply(variables, images, train=train, mutable=mutable)
    found = sown(model, updated)
    return found, updated.get("batch_stats", variables.get("batch_stats", {}))


def sown(model: Model, updated: Mapping[str, Any]) -> Maps:
    """The maps that the generator has sown in a pass over some images, first to last.

    Args:
        model: whose generator it is.
        updated: the collections that the pass was to change.

    Raises:
        UserError: the generator names no stages.
    """
    if not (found := dict(_named(updated.get(STAGES, {})))):
        raise UserError(
            f"{type(model.generator).__name__}: names no stages; expected a generator that calls "
            'self.sow("stages", NAME, maps) after each stage of its encoder (ctxenc.models)'
        )
    return found


def _named(collection: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    """The maps of a collection, those of networks within the network too, as they were sown."""
    for name, value in collection.items():
        if isinstance(value, tuple):
            yield name, value[-1]
        else:
            yield from _named(value)
