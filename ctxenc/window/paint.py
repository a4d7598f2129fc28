"""The tab that paints: photos, their masks, and fills by trained models and classical methods.

A photo has a folder inside the temporary one, and in it each mask, with what fills it. What a model
fills goes through `ctxenc.inpaint`'s own function on files, so it is the same, byte for byte.
"""

import contextlib
import functools
import io
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ctxenc.baselines import Fill
from ctxenc.baselines.fills import Harmonic, telea
from ctxenc.data import photos
from ctxenc.errors import UserError
from ctxenc.inpainting import PixelMask, holes, mask_files, photographs
from ctxenc.inpainting.files import fill_file
from ctxenc.inpainting.photographs import Photograph
from ctxenc.run_folder.folder import Run
from ctxenc.trained import TrainedModel
from ctxenc.window import LOCK
from ctxenc.window.runs import Query, Runs

MOST_PIXELS = 2**24  # of an upload: what the canvas of every browser can hold
KEPT = 8  # photos; older ones are removed
MODELS = 4  # that are kept in memory
CLASSICAL: dict[str, Fill] = {"telea": telea, "harmonic": lambda *given: Harmonic()(*given)}
AROUND = 8  # pixels that classical fills see around the holes; Telea's looks 3 far
MOST_MISSING, MOST_AROUND = 2**16, 2**20  # pixels of a harmonic fill, and of the rectangle around


class Paint:
    """Photos below a temporary folder, and what fills them."""

    def __init__(self, temporary: Path, runs: Runs):
        self._folder, self._runs = temporary, runs

    def example(self, _: Query, name: str) -> bytes:
        """One of the photographs that no run of ``dataset=photos`` trains on, as a PNG."""
        if name not in photos.TEST:
            raise UserError(f"{name}: no such photograph; expected {' or '.join(photos.TEST)}")
        out = io.BytesIO()
        Image.fromarray(photos.photograph(name)).save(out, format="PNG")
        return out.getvalue()

    def upload(self, content: bytes, _: Query) -> dict[str, Any]:
        """Keep a photo; its `id`, and its `width` and `height` as it is upright."""
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir()
        try:
            with _told_of(folder):
                photo = photographs.read(_kept(folder / "photo", content))
        except UserError:
            shutil.rmtree(folder)
            raise
        # What the browser shows, whatever the upload's format is; quick rather than small.
        layers = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
        shown = Image.fromarray(layers[..., 0] if layers.shape[2] == 1 else layers)
        shown.save(folder / "shown.png", compress_level=1)
        for old in sorted(self._folder.iterdir(), key=lambda f: f.stat().st_mtime_ns)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        height, width = photo.pixels.shape[:2]
        return {"id": folder.name, "width": width, "height": height}

    def mask(self, content: bytes, query: Query, photo: str) -> dict[str, str]:
        """Keep a photo's mask, grown by `grow` pixels; its `id`."""
        grow = dict(query).get("grow", "")
        if not (grow.isascii() and grow.isdigit() and len(grow) < 5):
            raise UserError(f"grow={grow}: expected a whole number of pixels")
        above = self._known(photo)
        folder = above / secrets.token_hex(8)
        for old in above.iterdir():
            if old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
        folder.mkdir()
        with _told_of(folder):
            painted = mask_files.read(_kept(folder / "mask", content)).missing
        missing = holes.grown(painted, int(grow))
        mask = Photograph(missing[..., None].astype(np.uint8) * 255)
        photographs.write(folder / "mask.png", mask)
        return {"id": folder.name}

    def fill(self, query: Query, photo: str, mask: str) -> dict[str, str]:
        """Fill a photo's mask `by` a run or a classical method; the `file`, and what is `said`."""
        by, above = dict(query).get("by", ""), self._known(photo)
        folder = self._known(photo, mask)
        result = folder / f"{by}.png"
        with LOCK, _told_of(above), _told_of(folder):
            if by in CLASSICAL:
                said = _classical(by, above / "photo", folder / "mask.png", result)
            else:
                trained = _loaded(self._runs.path(by))
                said = fill_file(trained, above / "photo", result, folder / "mask.png")
        return {"file": f"{photo}/{mask}/{result.name}", "said": said}

    def file(self, _: Query, name: str) -> Path:
        """A picture that was made."""
        there = {str(file.relative_to(self._folder)): file for file in self._folder.rglob("*.png")}
        if name not in there:
            raise UserError(f"{name}: not here any more; fill it again")
        return there[name]

    def _known(self, photo: str, mask: str | None = None) -> Path:
        """The folder of a photo, or of a mask of it."""
        folder = self._folder
        for name in (photo, mask):
            if name is not None:
                there = {file.name: file for file in folder.iterdir() if file.is_dir()}
                if name not in there:
                    raise UserError("this photo or mask is not here any more; open the photo again")
                folder = there[name]
        return folder


def _kept(file: Path, content: bytes) -> Path:
    """The file of an upload, which is no larger than it may be."""
    file.write_bytes(content)
    with photographs.opened(file) as image:
        if image.width * image.height > MOST_PIXELS:
            raise UserError(
                f"{image.width}×{image.height} pixels; expected at most {MOST_PIXELS // 10**6} "
                "million: python -m ctxenc.inpaint takes larger ones"
            )
    return file


@contextlib.contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    """Errors name the files there as the page knows them."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(f"{folder}/", "")) from None


def _loaded(run: Path) -> TrainedModel:
    """The run's best checkpoint by now."""
    folder = Run(run).checkpoints
    return _model(run, folder.stat().st_mtime_ns if folder.is_dir() else 0)


@functools.lru_cache(MODELS)
def _model(run: Path, changed: int) -> TrainedModel:
    return TrainedModel.load(run)


def _classical(by: str, file: Path, mask: Path, result: Path) -> str:
    """Fill by one of `CLASSICAL`, which sees the rectangle around all holes."""
    photo, missing = photographs.read(file), mask_files.read(mask).missing
    if missing.shape != photo.pixels.shape[:2]:
        height, width = missing.shape
        raise UserError(f"{mask}: {width}×{height} pixels; expected {photo.size}, as the photo has")
    around = _around(missing)
    real, hole = (
        np.repeat(photo.pixels[around], 3 // photo.pixels.shape[2], axis=2),
        missing[around],
    )
    if by == "harmonic" and (hole.sum() > MOST_MISSING or hole.size > MOST_AROUND):
        raise UserError(
            f"harmonic: {hole.sum():,} missing pixels in a rectangle of {hole.size:,}; expected at "
            f"most {MOST_MISSING:,} in {MOST_AROUND:,}"
        )
    (filled,) = CLASSICAL[by](real[None], hole[None])
    pixels = photo.pixels.copy()
    levels = np.clip(np.round((filled + 1) * 127.5), 0, 255)
    pixels[around][hole] = levels[..., : pixels.shape[2]][hole]
    photographs.write(result, photo.with_fill(pixels, missing))
    return f"{100 * missing.mean():.2g} % missing"


def _around(missing: PixelMask) -> tuple[slice, slice]:
    """The smallest rectangle with all missing pixels, and `AROUND` more."""
    rows, columns = (np.flatnonzero(missing.any(axis=axis)) for axis in (1, 0))
    top, left = (max(0, int(line[0]) - AROUND) for line in (rows, columns))
    return slice(top, int(rows[-1]) + 1 + AROUND), slice(left, int(columns[-1]) + 1 + AROUND)
