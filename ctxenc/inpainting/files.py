"""Filling photographs in files: which files, which holes, what is written where."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctxenc.errors import UserError
from ctxenc.inpainting import Missing, holes, photographs
from ctxenc.inpainting.crops import Crop, ModelWindow
from ctxenc.inpainting.filling import inpaint
from ctxenc.inpainting.photographs import Photograph
from ctxenc.report.strips import strip
from ctxenc.trained import TrainedModel

LOSS = "; JPEG encodes every pixel anew, .png would leave those not filled as they are"

Box = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


@dataclass(frozen=True)
class HoleSpec:
    """Where the holes are: a mask's file, boxes, or neither.

    With neither it is the box in the middle, of the share of the photograph's central square that
    the model's box has of its image.

    Attributes:
        mask: An image of the photograph's size, or a folder with one for each photograph's name.
        boxes: Holes.
        invert: Whether black is missing in the mask, in place of white.
    """

    mask: Path | None = None
    boxes: tuple[Box, ...] = ()
    invert: bool = False

    def missing(self, photo: Photograph, file: Path, window: ModelWindow) -> Missing:
        """Which of a photograph's pixels are missing.

        Raises:
            UserError: no such mask, a mask of another size, or a box that is not in the photo.
        """
        height, width = photo.pixels.shape[:2]
        if self.mask is not None:
            mask = _mask_for(file, self.mask)
            missing = photographs.read_mask(mask, invert=self.invert)
            if missing.shape != (height, width):
                raise UserError(
                    f"{mask}: {missing.shape[1]}×{missing.shape[0]} pixels; expected {photo.size}, "
                    f"the size of {file.name}"
                )
            return missing
        missing = np.zeros((height, width), bool)
        for x, y, wide, high in self.boxes or (_middle(height, width, window),):
            if not (0 <= x < x + wide <= width and 0 <= y < y + high <= height):
                raise UserError(
                    f"--box {x},{y},{wide},{high}: must be within {file.name}, which is "
                    f"{photo.size}"
                )
            missing[y : y + high, x : x + wide] = True
        return missing


def _middle(height: int, width: int, window: ModelWindow) -> Box:
    side = min(height, width)
    high, wide = (max(1, side * box // window.size) for box in window.box)
    return (width - wide) // 2, (height - high) // 2, wide, high


def _mask_for(photo: Path, mask: Path) -> Path:
    if not mask.is_dir():
        return mask
    same = [file for file in _images_in(mask) if file.stem == photo.stem]
    if len(same) != 1:
        raise UserError(f"{mask}: {len(same)} images are called {photo.stem}; expected one")
    return same[0]


def _images_in(folder: Path) -> list[Path]:
    files = (file for file in sorted(folder.iterdir()) if not file.name.startswith("."))
    return [file for file in files if file.suffix.lower() in photographs.SUFFIXES]


def pairs(
    paths: list[Path], out: Path, mask: Path | None = None, *, grid: bool = False
) -> list[tuple[Path, Path]]:
    """Each photograph with the file that its result goes to.

    Args:
        paths: files and folders; of a folder, the images directly in it.
        out: a file for one photograph; a folder, made if need be, for several.
        mask: a file, or a folder of files, that no result may go to either.
        grid: a grid beside every result is wanted too.

    Raises:
        UserError: nothing to read, a result that would go to an input, or a name of no format.
    """
    photos: list[Path] = []
    for path in paths:
        found = [f for f in _images_in(path) if f.is_file()] if path.is_dir() else [path]
        if not found:
            suffixes = ", ".join(photographs.SUFFIXES)
            raise UserError(f"{path}: no image in this folder; expected {suffixes}")
        photos += found
    if len(photos) == 1 and len(paths) == 1 and not (paths[0].is_dir() or out.is_dir()):
        results = [out]
    elif out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file; expected a folder, for several photos")
    else:
        stems = Counter(file.stem for file in photos)
        results = [
            out / f"{file.stem if stems[file.stem] == 1 else file.name}.png" for file in photos
        ]
    masks = [] if mask is None else _images_in(mask) if mask.is_dir() else [mask]
    taken = {file.resolve(): "would overwrite an input" for file in [*photos, *masks]}
    for result in results:
        photographs.options_of(result)
        for file in [result, grid_of(result)] if grid else [result]:
            if why := taken.get(file.resolve()):
                raise UserError(f"{file}: {why}; expected another name")
            taken[file.resolve()] = "two photos would go there"
    return list(zip(photos, results, strict=True))


def grid_of(result: Path) -> Path:
    """Where the strip before | masked | after of a result goes."""
    return result.with_name(f"{result.stem}-grid.png")


def fill_file(
    trained: TrainedModel,
    file: Path,
    result: Path,
    spec: HoleSpec,
    *,
    grid: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Fill one photograph and say what was done: the holes, and the crops that the model was given.

    Args:
        trained: the model.
        file: the photograph's.
        result: the filled photograph's: see `pairs`.
        spec: where its holes are.
        grid: write a strip before | masked | after, too: see `grid_of`.
        progress: gets how many holes are filled, and how many there are.

    Raises:
        UserError: the photograph or its mask cannot be read, filled or written.
    """
    photo = photographs.read(file)
    missing = spec.missing(photo, file, ModelWindow.of(trained))
    try:
        filled, crops = inpaint(trained, photo.pixels, missing, progress=progress)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    photographs.write(result, photo.with_pixels(filled, missing))
    if grid:
        colour = (np.asarray(trained.fill_value) + 1) * 127.5
        picture = strip(photo.pixels, missing, filled, colour)
        photographs.write(grid_of(result), Photograph(picture))
    lossy = result.suffix.lower() in photographs.LOSSY
    return f"{file.name} {photo.size}: {describe(missing, crops)}{LOSS if lossy else ''}"


def describe(missing: Missing, crops: list[Crop]) -> str:
    """``1 hole, 4.2 % missing, 1 crop of 128 px at scale 4.0``."""
    sizes = {crop.side: f"{crop.side} px at scale {crop.scale:.1f}" for crop in crops}
    ends = " to ".join(dict.fromkeys((sizes[min(sizes)], sizes[max(sizes)])))
    counts = [
        f"{number} {name}{'s' * (number > 1)}"
        for number, name in ((holes.count(missing), "hole"), (len(crops), "crop"))
    ]
    return f"{counts[0]}, {100 * missing.mean():.2g} % missing, {counts[1]} of {ends}"
