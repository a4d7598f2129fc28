"""Filling photographs in files: which files, which masks, what is written where."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from ctxenc.errors import UserError
from ctxenc.inpainting import holes, photographs
from ctxenc.inpainting.crops import Crop, Sight
from ctxenc.inpainting.filling import inpaint
from ctxenc.inpainting.photographs import Photograph
from ctxenc.report.strips import strip
from ctxenc.trained import TrainedModel

Box = tuple[int, int, int, int]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What is missing, in the user's words: a mask's file, boxes (x, y, width, height), or neither.

    With neither it is the box in the middle, of the share of the photograph's central square that
    the model's box has of its image. `mask` may be a folder, with a mask for each photo's name.
    """

    mask: Path | None = None
    boxes: tuple[Box, ...] = ()
    invert: bool = False

    def missing(
        self, photo: Photograph, file: Path, sight: Sight
    ) -> Bool[np.ndarray, "height width"]:
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
                    f"{mask}: {missing.shape[1]}×{missing.shape[0]} pixels; "
                    f"the photo {file.name} has {photo.size}"
                )
            return missing
        missing = np.zeros((height, width), bool)
        for x, y, wide, high in self.boxes or (_middle(height, width, sight),):
            if not (0 <= x < x + wide <= width and 0 <= y < y + high <= height):
                raise UserError(
                    f"--box {x},{y},{wide},{high}: not within {file.name}, which is {photo.size}"
                )
            missing[y : y + high, x : x + wide] = True
        return missing


def _middle(height: int, width: int, sight: Sight) -> Box:
    side = min(height, width)
    high, wide = (max(1, side * box // sight.size) for box in sight.box)
    return (width - wide) // 2, (height - high) // 2, wide, high


def _mask_for(photo: Path, mask: Path) -> Path:
    if not mask.is_dir():
        return mask
    same = [f for f in sorted(mask.iterdir()) if f.stem == photo.stem and _is_image(f)]
    if len(same) != 1:
        raise UserError(f"{mask}: {len(same)} images are called {photo.stem}; it takes one")
    return same[0]


def _masks_of(mask: Path) -> list[Path]:
    return sorted(mask.iterdir()) if mask.is_dir() else [mask]


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in photographs.SUFFIXES and not file.name.startswith(".")


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
    photos = [file for path in paths for file in _images_of(path)]
    if len(photos) == 1 and len(paths) == 1 and not (paths[0].is_dir() or out.is_dir()):
        results = [out]
    else:
        if out.exists() and not out.is_dir():
            raise UserError(f"{out}: a file; for several photos it takes a folder")
        stems = Counter(file.stem for file in photos)
        if twice := [f for f, times in Counter(f.name for f in photos).items() if times > 1]:
            raise UserError(f"{twice[0]}: several photos have this name, and OUT is one folder")
        results = [
            out / f"{file.stem if stems[file.stem] == 1 else file.name}.png" for file in photos
        ]
    inputs = {file.resolve() for file in [*photos, *(_masks_of(mask) if mask else [])]}
    for result in results:
        if results.count(result) > 1 or (grid and grid_of(result) in results):
            raise UserError(f"{result}: two photos would go there; it takes other names")
        photographs.options_of(result)
        if result.resolve() in inputs or grid_of(result).resolve() in inputs:
            raise UserError(f"{result}: this would overwrite an input; it takes another name")
    return list(zip(photos, results, strict=True))


def _images_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    images = [file for file in sorted(path.iterdir()) if _is_image(file) and file.is_file()]
    if not images:
        raise UserError(
            f"{path}: no image in this folder; it takes {', '.join(photographs.SUFFIXES)}"
        )
    return images


def grid_of(result: Path) -> Path:
    """Where the strip before | masked | after of a result goes."""
    return result.with_name(f"{result.stem}-grid.png")


def fill_files(
    trained: TrainedModel,
    work: list[tuple[Path, Path]],
    wanted: Wanted,
    grid: bool,
    say: Say,
    failed: Say,
    moved: Callable[[int, int], None],
) -> Iterator[list[Path]]:
    """Fill each photograph of `work` (see `pairs`) and yield the files written for it.

    `say` gets a line a photo with what was understood, `failed` one for each that failed, after
    which the next is taken; `moved` the holes of the current photo that are done, and all.
    """
    sight = Sight.of(trained)
    for file, result in work:
        written: list[Path] = []
        try:
            photo = photographs.read(file)
            missing = wanted.missing(photo, file, sight)
            try:
                filled, crops = inpaint(trained, photo.pixels, missing, moved=moved)
            except UserError as error:
                raise UserError(f"{file}: {error}") from None
            say(f"{file.name} {photo.size}: {describe(missing, crops)}")
            result.parent.mkdir(parents=True, exist_ok=True)
            photographs.write(result, photo.with_pixels(filled, missing))
            if result.suffix.lower() in photographs.LOSSY:
                say(f"{result}: JPEG encodes every pixel anew; in .png those not filled stay as is")
            written.append(result)
            if grid:
                colour = np.asarray(trained.fill_value)
                picture = Photograph(strip(photo.pixels, missing, filled, (colour + 1) * 127.5))
                photographs.write(grid_of(result), picture)
                written.append(grid_of(result))
        except (UserError, OSError) as error:
            line = str(error)
            if isinstance(error, OSError):
                line = f"{error.filename or result}: {error.strerror or error}"
            say(f"ctxenc.inpaint: {line}")
            failed(line)
        yield written


def describe(missing: Bool[np.ndarray, "height width"], crops: list[Crop]) -> str:
    """``1 hole, 4.2 % missing, crop 128 px at scale 4.0``."""
    ordered = sorted(crops, key=lambda crop: crop.scale)
    sides = [f"{crop.side:.0f}" for crop in (ordered[0], ordered[-1])]
    scales = [f"{crop.scale:.1f}" for crop in (ordered[0], ordered[-1])]
    side, scale = (" to ".join(dict.fromkeys(ends)) for ends in (sides, scales))
    found, share = holes.count(missing), float(missing.mean())
    percent = f"{100 * share:.1f}" if share >= 0.001 else f"{100 * share:.2g}"
    looks = "crop" if len(crops) == 1 else f"{len(crops)} crops of"
    shapes = f"{found} hole" + "s" * (found > 1)
    return f"{shapes}, {percent} % missing, {looks} {side} px at scale {scale}"
