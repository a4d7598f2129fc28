"""A trained generator in a folder that needs neither its run nor ctxenc.

The program is StableHLO, as `jax.export` keeps it, for any batch size and for CPU, CUDA, ROCm and
TPU; the weights are beside it and are its first argument.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, UInt8

from ctxenc import features, masks, step
from ctxenc.errors import UserError
from ctxenc.inpainting.crops import ModelWindow
from ctxenc.ops.platforms import EVERY, written_for
from ctxenc.trained import TrainedModel

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
# Products in bfloat16 say on CPU how a matrix lies in memory (`ops.bfloat16`): a call that XLA
# itself resolves, and that JAX's list of those that outlive a version lacks.
LAYOUT = export.DisabledSafetyCheck.custom_call("LayoutConstraint")
PROGRAM, WEIGHTS, CONTRACT = "generator.stablehlo", "weights.npz", "contract.json"
ENCODER = "encoder.stablehlo"

Weights = dict[str, Any]  # arrays by their path, such as params/Conv_0/kernel


def export_generator(trained: TrainedModel, folder: Path) -> dict[str, Any]:
    """Write the generator's folder, whole or not at all, and return its contract.

    It gets the program, the weights, the contract, an example that loads them (``load.py``) and a
    ``README.md``.

    Raises:
        UserError: the folder is there and not empty.
    """
    by_path = flax.traverse_util.flatten_dict(trained.variables, sep="/")
    weights: Weights = {path: np.asarray(value) for path, value in sorted(by_path.items())}
    with _new(folder) as new:
        (new / PROGRAM).write_bytes(_program(trained, weights).serialize())
        np.savez(new / WEIGHTS, **weights)
        contract = _contract(trained, weights, new)
        own = resources.files("ctxenc.exporting")
        texts = {
            CONTRACT: json.dumps(contract, indent=2, ensure_ascii=False) + "\n",
            "README.md": (own / "readme.template.md").read_text("utf-8").format(**contract),
            "load.py": (own / "example.py").read_text("utf-8"),
        }
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")
    return contract


def export_encoder(trained: TrainedModel, folder: Path) -> dict[str, Any]:
    """Write the encoder's folder, whole or not at all, and return its contract.

    It gets the program (uint8 images to the maps of every stage), those of the generator's weights
    that it uses, and the contract.

    Raises:
        UserError: the folder is there and not empty, or the network names no stages.
    """
    model, size = trained.model, trained.config.image_size
    names = features.names(model, trained.variables, size)
    own = features.encoder(model, trained.variables, size, names)
    weights: Weights = {"/".join(path): np.asarray(value) for path, value in sorted(own.items())}

    def program(
        weights: Weights, images: UInt8[Array, "batch height width 3"]
    ) -> dict[str, Float[Array, "batch _ _ _"]]:
        own = {tuple(path.split("/")): leaf for path, leaf in weights.items()}
        # The decoder's are not used; as zeros they take no room in the program.
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), trained.variables)
        variables = features.completed(own, blank)
        maps = features.stages(model, variables, masks.to_float(images))
        return {name: found.astype(jnp.float32) for name, found in maps.items()}

    with _new(folder) as new:
        exported = _exported(program, weights, ((size, size, 3), jnp.uint8))
        shapes = jax.tree.unflatten(exported.out_tree, exported.out_avals)
        (new / ENCODER).write_bytes(exported.serialize())
        np.savez(new / WEIGHTS, **weights)
        contract = {
            "arguments": {
                "weights": f"the arrays of {WEIGHTS}, as a dict",
                "images": _array("uint8", [size, size, 3], "RGB, shown whole"),
            },
            "returns": {
                name: _array("float32", list(shapes[name].shape[1:]), "maps after this stage")
                for name in names
            },
            "stages": list(names),
            "image_size": size,
            **_made_of(trained, weights, new, (ENCODER, WEIGHTS)),
        }
        (new / CONTRACT).write_text(json.dumps(contract, indent=2) + "\n", encoding="utf-8")
    return contract


def check_free(folder: Path) -> None:
    """Refuse a folder that has something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "not empty" if folder.is_dir() else "a file"
        raise UserError(f"{folder}: {what}; expected a new or empty folder")


@contextlib.contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` at the end of the ``with`` block, or is gone.

    A `folder` that is there gets the files: it may be a mount point, or where the shell is.
    """
    check_free(folder)
    folder = folder.resolve()
    there = folder.is_dir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = folder if there else folder.parent
    with TemporaryDirectory(dir=place, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        yield new
        if there:
            # The contract comes last: with it, the folder is whole.
            for file in sorted(new.iterdir(), key=lambda file: file.name == CONTRACT):
                file.replace(folder / file.name)
        else:
            new.replace(folder)


def _program(trained: TrainedModel, weights: Weights) -> export.Exported:
    """The fill as a program of (weights, images, mask), its batch size left open."""
    model, size = trained.model, trained.config.image_size
    fill_value = jnp.asarray(np.asarray(trained.fill_value))  # a constant of the program

    def fill(
        weights: Weights, images: UInt8[Array, "batch height width 3"], mask: masks.Mask
    ) -> Float[Array, "batch height width 3"]:
        variables = flax.traverse_util.unflatten_dict(weights, sep="/")
        return step.fill(model, variables, images, mask, fill_value)

    arrays = ((size, size, 3), jnp.uint8), ((size, size, 1), jnp.float32)
    return _exported(fill, weights, *arrays)


def _exported(
    function: Callable[..., Any], weights: Weights, *arrays: tuple[tuple[int, ...], Any]
) -> export.Exported:
    """The program of (weights, arrays …), for each of `PLATFORMS` as it is fast there.

    The arrays, of these shapes and types, are of a batch, whose size is left open.
    """
    (batch,) = export.symbolic_shape("batch")
    shapes: list[Any] = [
        {path: jax.ShapeDtypeStruct(w.shape, w.dtype) for path, w in weights.items()}
    ]
    shapes += [jax.ShapeDtypeStruct((batch, *shape), dtype) for shape, dtype in arrays]
    with written_for(EVERY):
        exported = export.export(jax.jit(function), platforms=PLATFORMS, disabled_checks=[LAYOUT])
        return exported(*shapes)


def _contract(trained: TrainedModel, weights: Weights, folder: Path) -> dict[str, Any]:
    """Which arrays the program expects and returns, and what it was made of."""
    window = ModelWindow.of(trained)
    size, (height, width) = window.size, window.box
    tops, lefts = (
        {"first": begins[0], "last": begins[-1]} for begins in (window.tops, window.lefts)
    )
    fills = "missing pixels of any shape"
    if not window.whole:
        row, column = (" to ".join(map(str, sorted({*at.values()}))) for at in (tops, lefts))
        fills = f"a box of {height} rows × {width} columns from row {row}, column {column} on"

    def array(dtype: str, channels: int, meaning: str) -> dict[str, Any]:
        return _array(dtype, [size, size, channels], meaning)

    return {
        "arguments": {
            "weights": f"the arrays of {WEIGHTS}, as a dict",
            "images": array("uint8", 3, "RGB"),
            "mask": array("float32", 1, f"1 on {fills}, and 0 elsewhere"),
        },
        "returns": array("float32", 3, "the images in [-1, 1], filled where the mask is 1"),
        "predicts": "image" if window.whole else "hole",
        "fills": fills,
        "image_size": size,
        "mask_height": height,
        "mask_width": width,
        "box_tops": tops,
        "box_lefts": lefts,
        "fill_value": np.asarray(trained.fill_value).tolist(),
        **_made_of(trained, weights, folder, (PROGRAM, WEIGHTS)),
    }


def _array(dtype: str, shape: list[int], meaning: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": ["batch", *shape], "is": meaning}


def _made_of(
    trained: TrainedModel, weights: Weights, folder: Path, names: tuple[str, ...]
) -> dict[str, Any]:
    """What a contract says of the run and of the files."""

    def file(name: str) -> dict[str, Any]:
        data = (folder / name).read_bytes()
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    return {
        "run": trained.run.path.name,
        **trained.described,
        "platforms": list(PLATFORMS),
        "jax": jax.__version__,
        "parameters": sum(w.size for path, w in weights.items() if path.startswith("params/")),
        "files": {name: file(name) for name in names},
    }
