"""A user's photographs and masks, read safely; results, written whole or not at all."""

import contextlib
import dataclasses
import importlib.util
import io
import shlex
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from ctxenc.data import image_files
from ctxenc.errors import UserError
from ctxenc.inpainting import Photo, PixelMask
from ctxenc.run_folder.files import whole

MOST_PIXELS = 2 * image_files.MOST_PIXELS  # where Pillow itself refuses, before it decodes
# Pillow would hand PostScript, which is a program, to Ghostscript, and guesses at rare formats.
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
LOSSY = ("JPEG", "WEBP", "AVIF")  # formats that may change every pixel
TIFF = {"format": "TIFF", "compression": "tiff_deflate"}
JPEG = {"format": "JPEG", "quality": 95, "subsampling": 0}
SAVED_AS: dict[str, dict[str, Any]] = {  # lossless, but for JPEG and AVIF
    ".png": {"format": "PNG"},
    ".tif": TIFF,
    ".tiff": TIFF,
    ".bmp": {"format": "BMP"},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), JPEG),
}
KEPT = {  # what a format has a place for, of what comes with a photograph
    "PNG": ("dpi", "icc_profile", "exif", "xmp", "comment", "text"),
    "JPEG": ("dpi", "icc_profile", "exif", "xmp", "comment"),
    "WEBP": ("icc_profile", "exif", "xmp"),
    "AVIF": ("icc_profile", "exif", "xmp"),
    "TIFF": ("dpi", "icc_profile", "exif", "xmp"),
    "BMP": ("dpi",),
}
AVIF = importlib.util.find_spec("PIL._avif") is not None  # from Pillow 11.3 on
if AVIF:
    FORMATS.append("AVIF")
    SAVED_AS[".avif"] = {"format": "AVIF", "quality": 95, "subsampling": "4:4:4"}
PORTABLE = (270, 271, 272, 305, 306, 315, 33432)  # tags: description, maker, model, … copyright
XMP_TEXT, XMP_TAG = "XML:com.adobe.xmp", 700  # its name in a PNG, its number in a TIFF
REFUSALS: dict[type[Exception], str] = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "a folder; expected an image file",
    PermissionError: "this file may not be read",
    Image.UnidentifiedImageError: "not an image that can be read here",
    Image.DecompressionBombError: f"expected at most {MOST_PIXELS // 10**6} million pixels",
}


@dataclass(frozen=True)
class Photograph:
    """A photograph, upright, with its opacity, and what else comes with it.

    That is, by Pillow's names, some of `KEPT`; of the EXIF data the orientation is missing. `lossy`
    is where its file's format may have changed every pixel.
    """

    pixels: Photo
    alpha: UInt8[np.ndarray, "height width"] | None = None
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    lossy: bool = False

    @property
    def size(self) -> str:
        """Width × height."""
        return f"{self.pixels.shape[1]}×{self.pixels.shape[0]}"

    def with_fill(self, filled: Photo, missing: PixelMask) -> "Photograph":
        """The same with other pixels; what was missing, and could not be seen, is opaque now."""
        alpha = self.alpha
        if alpha is not None:
            alpha = np.where(missing & (alpha == 0), np.uint8(255), alpha)
        return dataclasses.replace(self, pixels=filled, alpha=alpha)


def read(file: Path) -> Photograph:
    """Read a photograph.

    Raises:
        UserError: not there, damaged, too large, animated, 16-bit, or neither grey nor RGB.
    """
    with opened(file) as image:
        # Before it is decoded, since Pillow would cut RGB to 8 bits and not say so.
        if image.mode.startswith("I") or ";16" in str(getattr(image, "tile", "")):
            raise UserError(f"16 bits a channel; expected 8: {_converted(file, '-depth 8')}")
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            how = _converted(file, "-colorspace sRGB -depth 8")
            raise UserError(f"its colours are {image.mode}; expected grey or RGB: {how}")
        ImageOps.exif_transpose(image, in_place=True)
        mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
        mode += "A" * image.has_transparency_data
        array = _array(image if image.mode == mode else image.convert(mode))
        metadata, lossy = _metadata(image), image.format in LOSSY
    pixels, alpha = (array[..., :-1], array[..., -1]) if mode.endswith("A") else (array, None)
    return Photograph(pixels, alpha, metadata, lossy)


def _converted(file: Path, how: str) -> str:
    """The conversion to make, as ImageMagick does it."""
    new = shlex.quote(str(file.with_name(f"{file.stem}-8bit.png")))
    return f"convert it first (magick {shlex.quote(str(file))} {how} {new})"


def _metadata(image: Image.Image) -> dict[str, Any]:
    """What comes with an image, once it is decoded: a PNG's text may be behind its pixels."""
    found: dict[str, Any] = {k: image.info.get(k) for k in ("icc_profile", "xmp", "comment")}
    tags = image.getexif()
    if image.format == "TIFF":
        tags = _portable(tags)
    found["exif"] = tags.tobytes() if len(tags) else None
    dpi = image.info.get("dpi", ())
    found["dpi"] = dpi if dpi and all(0 < number < 2**16 for number in dpi) else None
    text = getattr(image, "text", {})
    found["text"] = {name: value for name, value in text.items() if name != XMP_TEXT}
    if "Comment" in text:
        found["comment"] = found["text"].pop("Comment").encode(errors="replace")
    return {name: value for name, value in found.items() if value}


def _portable(tags: Image.Exif) -> Image.Exif:
    """Without those by which a TIFF says where and how its pixels are in the file."""
    kept = Image.Exif()
    kept.update((tag, tags[tag]) for tag in PORTABLE if tag in tags)
    for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if values := tags.get_ifd(part):
            kept.get_ifd(part).update(values)
    return kept


def write(file: Path, photograph: Photograph) -> None:
    """Write a photograph in the format of the file's name, whole or not at all.

    Raises:
        UserError: a name, a size or data that no format here takes; transparency in a JPEG or BMP.
    """
    with whole(file) as temporary:
        _save(photograph, file, temporary)


def check(file: Path, photograph: Photograph) -> None:
    """Refuse, before the work is done, what `write` would refuse afterwards."""
    across, down = (np.s_[:1], np.s_[:, :1])
    for line in (across, down):  # formats bound the sides, and what comes with the pixels
        alpha = None if photograph.alpha is None else photograph.alpha[line]
        thin = dataclasses.replace(photograph, pixels=photograph.pixels[line], alpha=alpha)
        _save(thin, file, io.BytesIO())


def left_out(file: Path, photograph: Photograph) -> list[str]:
    """What comes with a photograph and a file of this name has no place for."""
    return [name for name in photograph.metadata if name not in KEPT[saved_as(file)["format"]]]


def _save(photograph: Photograph, file: Path, into: Any) -> None:
    """Encode it into a file or a stream; `file` is the name that decides on the format."""
    pixels, alpha, options = photograph.pixels, photograph.alpha, dict(saved_as(file))
    form = options["format"]
    if alpha is not None:
        if form in ("JPEG", "BMP"):
            raise UserError(f"{file}: {form} keeps no transparency, which the photo has; .png does")
        if form == "WEBP":  # it knows no grey with transparency
            pixels = np.broadcast_to(pixels, (*alpha.shape, 3))
        pixels = np.concatenate([pixels, alpha[..., None]], axis=2)
    kept = {name: value for name, value in photograph.metadata.items() if name in KEPT[form]}
    if form == "PNG":
        kept["pnginfo"] = _png_text(kept)
    if form == "TIFF":
        tags = Image.Exif()
        if "exif" in kept:
            tags.load(kept["exif"])
            tags.load(_portable(tags).tobytes())
            del options["compression"]  # libtiff, which compresses, cannot write all of EXIF
        if "xmp" in kept:
            tags[XMP_TAG] = kept.pop("xmp")
        kept["tiffinfo"] = tags
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    try:
        image.save(into, **options, **kept)
    except (ValueError, SystemError, struct.error) as error:  # sizes and data that it cannot hold
        raise UserError(f"{file}: cannot be written as {form}: {error}") from None


def _png_text(metadata: dict[str, Any]) -> PngImagePlugin.PngInfo:
    """All of it that a PNG has as text: names and values."""
    info, text = PngImagePlugin.PngInfo(), dict(metadata.pop("text", {}))
    for name, key in (("comment", "Comment"), ("xmp", XMP_TEXT)):
        if name in metadata:
            text[key] = metadata.pop(name).decode(errors="replace")
    for key, value in text.items():
        (info.add_itxt if key == XMP_TEXT else info.add_text)(key, value)
    return info


def saved_as(file: Path) -> dict[str, Any]:
    """How a file of this name is saved; its ending must be one of `SAVED_AS`."""
    if file.suffix.lower() not in SAVED_AS:
        raise UserError(f"{file}: expected a name that ends in {', '.join(SAVED_AS)}")
    return SAVED_AS[file.suffix.lower()]


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
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
    """Pillow's pixels."""
    shape = -1, image.width, len(image.getbands())
    return image_files.in_strips(image, lambda strip: np.asarray(strip, np.uint8).reshape(shape))
