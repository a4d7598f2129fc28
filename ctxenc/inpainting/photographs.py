"""A user's photographs and masks, read safely; results, written whole or not at all."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from ctxenc.data import image_files
from ctxenc.errors import UserError
from ctxenc.inpainting import Photo, PixelMask
from ctxenc.runs.files import whole

MOST_PIXELS = 2 * image_files.MOST_PIXELS  # where Pillow itself refuses, before it decodes
# Pillow would hand PostScript, which is a program, to Ghostscript, and guesses at rare formats.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
STRIP = 1024  # rows: pixels leave Pillow in strips, so that they are not in memory three times
TIFF = {"format": "TIFF", "compression": "tiff_deflate"}
JPEG = {"format": "JPEG", "quality": 95, "subsampling": 0}
SAVED_AS: dict[str, dict[str, Any]] = {  # lossless, but for JPEG
    ".png": {"format": "PNG"},
    ".tif": TIFF,
    ".tiff": TIFF,
    ".bmp": {"format": "BMP"},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".jpg": JPEG,
    ".jpeg": JPEG,
}
REFUSALS: dict[type[Exception], str] = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "a folder; expected an image file",
    PermissionError: "this file may not be read",
    Image.UnidentifiedImageError: "not an image that can be read here",
    Image.DecompressionBombError: f"expected at most {MOST_PIXELS // 10**6} million pixels",
}


@dataclass(frozen=True)
class Photograph:
    """A photograph, upright, with its opacity, colour profile and EXIF data, if it has them.

    Of the EXIF data the orientation is missing.
    """

    pixels: Photo
    alpha: UInt8[np.ndarray, "height width"] | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> str:
        """Width × height."""
        return f"{self.pixels.shape[1]}×{self.pixels.shape[0]}"


def read(file: Path) -> Photograph:
    """Read a photograph.

    Raises:
        UserError: not there, damaged, too large, animated, 16-bit, or neither grey nor RGB.
    """
    with _opened(file) as image:
        # Before it is decoded, since Pillow would cut RGB to 8 bits and not say so.
        if image.mode.startswith("I") or ";16" in str(getattr(image, "tile", "")):
            raise UserError("16 bits a channel; expected 8: convert it first")
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise UserError(f"its colours are {image.mode}; expected grey or RGB")
        ImageOps.exif_transpose(image, in_place=True)
        mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
        mode += "A" * image.has_transparency_data
        tags = image.getexif()
        # A TIFF's tags say where in the file its pixels are, too: they do not go elsewhere.
        exif = tags.tobytes() if len(tags) and image.format != "TIFF" else None
        icc = image.info.get("icc_profile")
        array = _array(image if image.mode == mode else image.convert(mode))
    pixels, alpha = (array[..., :-1], array[..., -1]) if mode.endswith("A") else (array, None)
    return Photograph(pixels, alpha, icc, exif)


def read_mask(file: Path, *, invert: bool = False) -> PixelMask:
    """Which pixels a mask says are missing: the white ones (above half); with `invert` the others.

    Where a mask has transparency that varies, the transparent pixels are missing instead.

    Raises:
        UserError: as `read`.
    """
    with _opened(file) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image)
            missing = values > (32767 if image.mode != "F" and values.max() > 255 else 127)
            return missing ^ invert
        if image.has_transparency_data:
            alpha = _array(image.convert("RGBA").getchannel("A"))[..., 0]
            if alpha.min() != alpha.max():
                return (alpha < 128) ^ invert
            image = image.convert("RGB")
        return (_array(image.convert("L"))[..., 0] > 127) ^ invert


def write(file: Path, photograph: Photograph) -> None:
    """Write a photograph in the format of the file's name, whole or not at all.

    Raises:
        UserError: a name or a size that no format here takes; transparency in a JPEG or a BMP.
    """
    options = dict(saved_as(file))
    pixels, alpha = photograph.pixels, photograph.alpha
    form = options["format"]
    if alpha is not None:
        if form in ("JPEG", "BMP"):
            raise UserError(f"{file}: {form} keeps no transparency, which the photo has; .png does")
        if form == "WEBP":  # it knows no grey with transparency
            pixels = np.broadcast_to(pixels, (*alpha.shape, 3))
        pixels = np.concatenate([pixels, alpha[..., None]], axis=2)
    if photograph.icc:
        options["icc_profile"] = photograph.icc
    if photograph.exif and form != "TIFF":
        options["exif"] = photograph.exif
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    with whole(file) as temporary:
        try:
            image.save(temporary, **options)
        except (ValueError, SystemError) as error:  # sizes and data that the format cannot hold
            raise UserError(f"{file}: cannot be written as {form}: {error}") from None


def saved_as(file: Path) -> dict[str, Any]:
    """How a file of this name is saved; its ending must be one of `SAVED_AS`."""
    if file.suffix.lower() not in SAVED_AS:
        raise UserError(f"{file}: expected a name that ends in {', '.join(SAVED_AS)}")
    return SAVED_AS[file.suffix.lower()]


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """The file, decoded when first used; whatever Pillow finds wrong with it becomes one line."""
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise UserError("a pipe or a device; expected an image file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large is not yet too large; odd metadata is no matter
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                # `n_frames` would look for each of a file's hundred thousand pages.
                if image.format != "MPO" and getattr(image, "is_animated", False):
                    raise UserError("an animation or several pages; expected one image")
                yield image
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        words = f"damaged, or of a kind that cannot be read ({what})"
        known = (words for kind, words in REFUSALS.items() if isinstance(error, kind))
        raise UserError(f"{file}: {next(known, words)}") from None


def _array(image: Image.Image) -> Photo:
    """Pillow's pixels, in strips."""
    channels = len(image.getbands())
    array = np.empty((image.height, image.width, channels), np.uint8)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        array[top : top + STRIP] = np.asarray(strip, np.uint8).reshape(-1, image.width, channels)
    return array
