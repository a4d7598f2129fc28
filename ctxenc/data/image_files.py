"""Image files of every kind that users have, as RGB arrays."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp")
MOST_PIXELS = 100_000_000  # a larger picture is taken for a decompression bomb
AT_ONCE = MOST_PIXELS  # that all threads together decode: bounds the memory, on many cores too
PNG = b"\x89PNG\r\n\x1a\n"  # what it begins with
STRIP = 1024  # rows that are converted at once

Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # Pillow refuses at twice this; `read` at this


class UnreadableError(Exception):
    """A file that is not the picture that its name promises."""


def read(file: Path, *, at_least: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """The picture as RGB: upright (EXIF), transparent parts on white, 16-bit greys scaled to 8.

    Of an animation it is the first frame. A large JPEG may be decoded at a fraction of its size, as
    long as both sides are `at_least` so long; None decodes every pixel.

    Raises:
        UnreadableError: damaged, not a picture, or larger than `MOST_PIXELS`.
    """
    try:
        with Image.open(file, formats=("JPEG", "PNG", "WEBP")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError(
                    f"{image.width} × {image.height} pixels are too many"
                )
            if at_least is not None:
                image.draft("RGB", (at_least, at_least))  # only JPEG can; the others ignore it
            with decoding(image.width * image.height):
                ImageOps.exif_transpose(image, in_place=True)
                return in_strips(image, _rgb)
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


_pixels, _changed = 0, threading.Condition()  # being decoded; for who waits until fewer are


@contextlib.contextmanager
def decoding(own: int) -> Iterator[None]:
    """Wait until so many pixels are no more than `AT_ONCE`, with those of other threads."""
    global _pixels
    with _changed:
        _changed.wait_for(lambda: not _pixels or _pixels + own <= AT_ONCE)
        _pixels += own
    try:
        yield
    finally:
        with _changed:
            _pixels -= own
            _changed.notify_all()


def pixels(encoded: bytes) -> int:
    """How many a picture has; nothing is decoded."""
    if encoded.startswith(PNG):  # at once, as small ones are many
        return int.from_bytes(encoded[16:20]) * int.from_bytes(encoded[20:24])
    with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG", "WEBP", "BMP", "GIF")) as image:
        return image.width * image.height


def in_strips(
    image: Image.Image, convert: Callable[[Image.Image], UInt8[np.ndarray, "rows width c"]]
) -> UInt8[np.ndarray, "height width c"]:
    """The array that `convert` makes of it, in strips, to hold little else."""
    array = np.empty(0, np.uint8)
    for top in range(0, image.height, STRIP):
        part = convert(image.crop((0, top, image.width, min(top + STRIP, image.height))))
        if not top:
            array = np.empty((image.height, *part.shape[1:]), np.uint8)
        array[top : top + STRIP] = part
    return array


def _rgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    if image.mode.startswith("I"):  # 16-bit grey
        grey = (np.asarray(image).astype(np.int64) + 128) // 257  # 65535 becomes 255
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))
