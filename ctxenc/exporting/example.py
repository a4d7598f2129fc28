"""Load this folder's generator; it needs jax, flatbuffers and numpy, nothing else."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax import export

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def load(folder: str | Path) -> Fill:
    """The function (images, mask) -> filled images; contract.json says which arrays."""
    folder = Path(folder)
    program = export.deserialize(bytearray((folder / "generator.stablehlo").read_bytes()))
    with np.load(folder / "weights.npz", allow_pickle=False) as file:
        weights = jax.device_put(dict(file))
    call = jax.jit(program.call)  # compiled once for each batch size
    return lambda images, mask: np.asarray(call(weights, images, mask))


def box(folder: str | Path, batch: int) -> np.ndarray:
    """A mask to try: one box of the size, and at the first place, that contract.json names."""
    contract = json.loads((Path(folder) / "contract.json").read_text(encoding="utf-8"))
    top, left = contract["box_tops"]["first"], contract["box_lefts"]["first"]
    size = contract["image_size"]
    mask = np.zeros((batch, size, size, 1), np.float32)
    mask[:, top : top + contract["mask_height"], left : left + contract["mask_width"]] = 1
    return mask


if __name__ == "__main__":
    here = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    mask = box(here, batch=1)
    grey = np.full((*mask.shape[:3], 3), 128, np.uint8)  # put your images here
    filled = np.round((load(here)(grey, mask) + 1) * 127.5).astype(np.uint8)
    print(f"filled {filled.shape}; mean of the hole {filled[mask[..., 0] > 0].mean():.1f} of 255")
