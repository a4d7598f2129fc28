"""The command line of ``ctxenc.inpaint``."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ctxenc import cli
from ctxenc.inpainting.files import Box

EPILOG = """In a mask is missing what is white; what is painted in colour on plain black or
white; what is painted in one colour on a transparent layer; what is rubbed out of a photo.
Which it was is printed, and what can be read in two ways is refused. In a painted copy is
missing what differs from the photo: at all, or, in JPEG, WebP and AVIF, in patches of 16 or
more pixels that differ by more than 48 of 255. What is not missing stays as it is, byte for
byte, in .png, .tif, .bmp and (lossless) .webp. A hole is seen in a square crop, mirrored
beyond the photo's edges and reduced to the model's size by the scale that is printed.
Standard output gets the paths written, standard error a line a photo. Where a photo cannot be
filled the others are, and the exit status is 1."""


def read(words: Sequence[str]) -> argparse.Namespace:
    """What was asked for; leaves as `argparse` does where it cannot be read."""
    parser = cli.parser(
        "inpaint",
        description="Fill holes of photos of any size with a trained model.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder of the model")
    add("photos", metavar="PHOTO", nargs="+", type=Path, help="image files, or a folder of them")
    add = parser.add_mutually_exclusive_group(required=True).add_argument
    add(
        "--mask",
        type=Path,
        help="image of the photo's size (see below); or a folder of them",
    )
    add(
        "--painted",
        type=Path,
        metavar="COPY",
        help="the photo with the hole painted over; or a folder of such copies",
    )
    add("--box", type=_box, action="append", metavar="X,Y,W,H", help="a hole; can be repeated")
    add("--center", action="store_true", help="the model's box, in the middle")
    add = parser.add_argument
    add("-o", "--output", required=True, type=Path, help="file for one photo, folder for several")
    add("--invert", action="store_true", help="the other pixels of the mask are missing")
    add("--grow", type=_pixels, default=0, metavar="N", help="pixels that holes grow by (a disc)")
    add("--grid", action="store_true", help="also write OUT-grid.png: before, masked, after")
    add("--checkpoint", default="best", metavar="WHICH", help="best (default), latest or a step")
    # ``--box -5,…`` as one word: a number below 0 would be taken for an option.
    text = re.sub(r"(^|\0)--box\0-", r"\1--box=-", "\0".join(words))
    given = parser.parse_args(text.split("\0") if text else [])
    if given.invert and not given.mask:
        parser.error("--invert goes with --mask")
    return given


def _box(text: str) -> Box:
    try:
        x, y, width, height = (int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected x,y,width,height in pixels") from None
    return x, y, width, height


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of pixels, 0 or more")
    return int(text)
