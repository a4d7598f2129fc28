"""Filling photographs in files: which files, which holes, what is written where."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ctxenc.data.folder import other_kinds
from ctxenc.errors import UserError
from ctxenc.inpainting import PixelMask, holes, mask_files, painted_copies, photographs
from ctxenc.inpainting.crops import Crop, ModelWindow
from ctxenc.inpainting.filling import inpaint
from ctxenc.inpainting.photographs import Photograph
from ctxenc.report.strips import strip
from ctxenc.trained import TrainedModel

KINDS = f"PNG, TIFF, BMP, WebP{', JPEG or AVIF' if photographs.AVIF else ' or JPEG'}"
FINE = 2  # scale; a fill at a larger one is said to have much less detail than the photograph
Box = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


def passed_over(paths: Iterable[Path]) -> list[str]:
    """A line for each folder among them with files that are not filled."""
    folders = {path: [f for f in _shown_in(path) if f.is_file()] for path in paths if path.is_dir()}
    others = {p: other_kinds(files, photographs.SAVED_AS, KINDS) for p, files in folders.items()}
    return [f"{path}: {line}" for path, line in others.items() if line]


def pairs(
    paths: list[Path], out: Path, mask: Path | None = None, *, grid: bool = False
) -> list[tuple[Path, Path]]:
    """Each photograph with the file that its result goes to.

    Of a folder, the images directly in it are filled. `out` is a file for one photograph; a folder,
    made if need be, for several, or where its name has no ending. No result, nor its `grid`, may go
    to an input, such as `mask`, a file or a folder.

    Raises:
        UserError: nothing to read, a result that would go to an input, or a name of no format.
    """
    photos: list[Path] = []
    for path in paths:
        found = [f for f in _images_in(path) if f.is_file()] if path.is_dir() else [path]
        if not found:
            suffixes = ", ".join(photographs.SAVED_AS)
            raise UserError(f"{path}: no image in this folder; expected {suffixes}")
        photos += found
    alone = len(photos) == len(paths) == 1 and not paths[0].is_dir()
    if alone and out.suffix and not out.is_dir():
        results = [out]
    elif out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file; expected a folder, or, for one photo, an image's name")
    else:
        stems = Counter(map(_stem, photos))
        results = [
            out / f"{file.stem if stems[_stem(file)] == 1 else file.name}.png" for file in photos
        ]
    masks = [] if mask is None else _images_in(mask) if mask.is_dir() else [mask]
    taken = {file.resolve(): "would overwrite an input" for file in [*photos, *masks]}
    for result in results:
        photographs.saved_as(result)
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
    mask: Path | None = None,
    painted: Path | None = None,
    boxes: Sequence[Box] = (),
    *,
    invert: bool = False,
    grow: int = 0,
    grid: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Fill a photograph's file; returns a line on the holes and on what the model was given.

    The holes are in `mask`, an image of the photograph's size or a folder with one for each
    photograph's name, read by the rule of `mask_files.read`; or where `painted`, a copy or a folder
    of copies, differs by the rule of `painted_copies.read`. Without either they are `boxes`, or a
    box in the middle, as large in the photograph's central square as the model's box in its
    image. They grow by a disc of `grow` pixels. `grid` writes the strip of `grid_of`, too;
    `progress` gets how many holes are filled, and how many there are.

    Raises:
        UserError: the photograph or its mask cannot be read, filled or written, or does not fit
            the other, or a box is not in the photograph.
    """
    photo = photographs.read(file)
    photographs.check(result, photo)
    rule = ""
    if mask:
        missing, rule = _masked(photo, file, _one_of(mask, file), invert)
    elif painted:
        missing, rule = _painted(photo, _one_of(painted, file))
    else:
        missing = _boxed(photo, file, boxes or [_middle(photo, ModelWindow.of(trained))])
    if grow:
        missing = holes.grown(missing, grow)
        rule = f"{rule}{', ' * bool(rule)}grown by a disc of {grow} px"
    try:
        filled, crops = inpaint(trained, photo.pixels, missing, progress=progress)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    photographs.write(result, photo.with_fill(filled, missing))
    if grid:
        colour = (np.asarray(trained.fill_value) + 1) * 127.5
        picture = strip(photo.pixels, missing, filled, colour)
        photographs.write(grid_of(result), Photograph(picture))
    number, share = holes.count(missing), f"{100 * missing.mean():.2g} % missing"
    line = f"{file.name} {photo.size}: {number} hole{'s' * (number > 1)}, {share}"
    line += f"{f' ({rule})' * bool(rule)}, {_described(crops)}"
    if lost := photographs.left_out(result, photo):
        line += f"; without its {', '.join(lost)}, for which {result.suffix} has no place"
    if (form := photographs.saved_as(result)["format"]) in ("JPEG", "AVIF"):
        line += f"; {form} encodes every pixel anew, .png would leave those not filled as they are"
    return line


def _described(crops: list[Crop]) -> str:
    """How many crops of which scales; and where the fill has much less detail than the photo."""
    sizes = {crop.side: f"{crop.side} px at scale {crop.scale:.1f}" for crop in crops}
    ends = " to ".join(dict.fromkeys((sizes[min(sizes)], sizes[max(sizes)])))
    line = f"{len(crops)} crop{'s' * (len(crops) > 1)} of {ends}"
    if max(crop.scale for crop in crops) > FINE:
        line += f"; above scale {FINE:g} a fill has much less detail than the photo"
    return line


def _one_of(given: Path, file: Path) -> Path:
    """The mask or copy itself, or the one of the folder that is called like the photograph."""
    if not given.is_dir():
        return given
    same = [image for image in _images_in(given) if _stem(image) == _stem(file)]
    if len(same) != 1:
        raise UserError(f"{given}: {len(same)} images are called {file.stem}; expected one")
    return same[0]


def _masked(photo: Photograph, file: Path, mask: Path, invert: bool) -> tuple[PixelMask, str]:
    """What a mask says is missing, and by which rule."""
    missing, rule, _ = mask_files.read(mask, invert=invert)
    if missing.shape != photo.pixels.shape[:2]:
        raise UserError(
            f"{mask}: {missing.shape[1]}×{missing.shape[0]} pixels; expected {photo.size}, "
            f"the size of {file.name}"
        )
    other = "without --invert" if invert else "--invert takes"
    hint = f"; {other} the other pixels" * bool(missing.mean() > 0.5)
    return missing, f"{mask.name}: what is {rule}{hint}"


def _painted(photo: Photograph, copy: Path) -> tuple[PixelMask, str]:
    """What is painted over in a copy, and by which rule."""
    other = photographs.read(copy)
    try:
        missing, rule = painted_copies.read(photo, other)
    except UserError as error:
        raise UserError(f"{copy}: {error}") from None
    return missing, f"{copy.name}: {rule}"


def _middle(photo: Photograph, window: ModelWindow) -> Box:
    height, width = photo.pixels.shape[:2]
    side = min(height, width)
    high, wide = (max(1, side * extent // window.size) for extent in window.box)
    return (width - wide) // 2, (height - high) // 2, wide, high


def _boxed(photo: Photograph, file: Path, boxes: Sequence[Box]) -> PixelMask:
    height, width = photo.pixels.shape[:2]
    missing = np.zeros((height, width), bool)
    for x, y, wide, high in boxes:
        box = f"--box {x},{y},{wide},{high}"
        if wide < 1 or high < 1:
            raise UserError(
                f"{box}: {wide}×{high} pixels; expected a width and height of 1 or more"
            )
        if x < 0 or y < 0 or x + wide > width or y + high > height:
            raise UserError(f"{box}: must be within {file.name}, which is {photo.size}")
        missing[y : y + high, x : x + wide] = True
    return missing


def _stem(file: Path) -> str:
    """A name without its ending; accents as one letter, however the file system writes them."""
    return unicodedata.normalize("NFC", file.stem)


def _images_in(folder: Path) -> list[Path]:
    return [file for file in _shown_in(folder) if file.suffix.lower() in photographs.SAVED_AS]


def _shown_in(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
