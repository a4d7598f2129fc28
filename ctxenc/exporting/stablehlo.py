"""A trained generator in a folder that needs neither its run nor ctxenc.

The program is StableHLO, as `jax.export` keeps it, for any batch size and for CPU, CUDA, ROCm and
TPU; the weights are beside it and are its first argument.
"""

import hashlib
import json
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float, UInt8

from ctxenc import masks, step
from ctxenc.errors import UserError
from ctxenc.inpainting.crops import Sight
from ctxenc.runs.atomic_write import write_text
from ctxenc.trained import TrainedModel

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
PROGRAM, WEIGHTS, CONTRACT = "generator.stablehlo", "weights.npz", "contract.json"

Weights = dict[str, Array]


def export_generator(trained: TrainedModel, folder: Path) -> dict[str, Any]:
    """Write the generator's folder, whole or not at all, and return its contract.

    Args:
        trained: the model.
        folder: a new or empty folder: it gets the program, the weights, the contract, an example
            that loads them (``load.py``) and a ``README.md``.

    Raises:
        UserError: the folder is there and not empty.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        weights = flat(trained)
        (temporary / PROGRAM).write_bytes(program(trained, weights).serialize())
        np.savez(temporary / WEIGHTS, **weights)
        described = contract(trained, weights, temporary)
        write_text(temporary / CONTRACT, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
        example = resources.files("ctxenc.exporting").joinpath("example.py").read_text("utf-8")
        write_text(temporary / "load.py", example)
        write_text(temporary / "README.md", readme(described))
        temporary.chmod(0o755)
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return described


def check_free(folder: Path) -> None:
    """Refuse a folder that has something in it."""
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; it takes a new or empty folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file; it takes a new or empty folder")


def flat(trained: TrainedModel) -> dict[str, Any]:
    """Parameters and BatchNorm statistics as arrays by their path, ``params/Conv_0/kernel``."""
    by_path = flax.traverse_util.flatten_dict(trained.variables, sep="/")
    return {path: np.asarray(value) for path, value in sorted(by_path.items())}


def program(trained: TrainedModel, weights: dict[str, Any]) -> export.Exported:
    """The fill as a program of (weights, images, mask), its batch size left open."""
    model, colour, size = trained.model, jnp.asarray(np.asarray(trained.fill_value)), _size(trained)

    def fill(
        weights: Weights, images: UInt8[Array, "batch height width 3"], mask: masks.Mask
    ) -> Float[Array, "batch height width 3"]:
        variables = flax.traverse_util.unflatten_dict(weights, sep="/")
        return step.fill(model, variables, images, mask, colour)

    (batch,) = export.symbolic_shape("batch")
    return export.export(jax.jit(fill), platforms=PLATFORMS)(
        {path: jax.ShapeDtypeStruct(w.shape, w.dtype) for path, w in weights.items()},
        jax.ShapeDtypeStruct((batch, size, size, 3), jnp.uint8),
        jax.ShapeDtypeStruct((batch, size, size, 1), jnp.float32),
    )


def contract(trained: TrainedModel, weights: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the program takes and returns, and what it was made of."""
    size, sight = _size(trained), Sight.of(trained)
    height, width = sight.box
    fills = f"one box of {height} × {width} pixels"
    if sight.whole:
        fills = "the pixels to fill, of any shape"
    files = {name: (folder / name).read_bytes() for name in (PROGRAM, WEIGHTS)}
    return {
        "arguments": {
            "weights": f"the arrays of {WEIGHTS}, as a dict",
            "images": {"dtype": "uint8", "shape": ["batch", size, size, 3], "is": "RGB"},
            "mask": {
                "dtype": "float32",
                "shape": ["batch", size, size, 1],
                "is": f"1 on {fills}, 0 elsewhere",
            },
        },
        "returns": {
            "dtype": "float32",
            "shape": ["batch", size, size, 3],
            "is": "the images in [-1, 1], filled where the mask is 1",
        },
        "predicts": "image" if sight.whole else "hole",
        "image_size": size,
        "mask_height": height,
        "mask_width": width,
        "box_tops": {"first": sight.tops[0], "last": sight.tops[-1]},
        "box_lefts": {"first": sight.lefts[0], "last": sight.lefts[-1]},
        "colour": [float(value) for value in np.asarray(trained.fill_value)],
        "run": trained.run.path.name,
        **trained.described,
        "platforms": list(PLATFORMS),
        "jax": jax.__version__,
        "parameters": int(sum(w.size for p, w in weights.items() if p.startswith("params/"))),
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }


def readme(described: dict[str, Any]) -> str:
    """The folder's README.md."""
    return f"""\
# A trained context encoder

{_fills(described)} What the images hold
where the mask is 1 does not matter.

`{PROGRAM}` is the program (StableHLO, kept by jax.export of JAX {described["jax"]}, for
{", ".join(described["platforms"])}), `{WEIGHTS}` are its weights, `{CONTRACT}` says what it takes
and returns, `load.py` is an example:

    pip install "jax>={described["jax"]}" flatbuffers numpy
    python load.py

JAX promises to load such a program for at least six months of later releases. From run
`{described["run"]}`, step {described["step"]}.
"""


def _fills(described: dict[str, Any]) -> str:
    """What it fills, in words."""
    size, height, width = (described[key] for key in ("image_size", "mask_height", "mask_width"))
    if described["predicts"] == "image":
        return (
            f"It fills missing pixels of any shape in images of {size} × {size}, best where they "
            "are\nlike those that it was trained on."
        )
    places = [
        f"{low}" if low == high else f"{low} to {high}"
        for low, high in (described[k].values() for k in ("box_tops", "box_lefts"))
    ]
    return (
        f"It fills one box of {height} × {width} pixels (height × width) in images of {size} × "
        f"{size}. The\nbox's upper row is {places[0]}, its left column {places[1]}: there it was "
        "trained."
    )


def _size(trained: TrainedModel) -> int:
    return trained.config.image_size
