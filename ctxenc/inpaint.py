"""``python -m ctxenc.inpaint RUN PHOTO… --mask FILE -o OUT``: fill holes of your own photos."""

import argparse
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ctxenc import cli
from ctxenc.errors import printable
from ctxenc.inpainting.files import Box, fill_file, grid_of, pairs, passed_over
from ctxenc.trained import TrainedModel

EPILOG = """In a mask is missing what is white; what is painted in colour on plain black or
white; what is painted in one colour on a transparent layer; what is rubbed out of a photo.
Which it was is printed, and what can be read in two ways is refused. In a painted copy is
missing what differs from the photo: at all, or, in JPEG, WebP and AVIF, in patches of 16 or
more pixels that differ by more than 48 of 255. What is not missing stays as it is, byte for
byte, in .png, .tif, .bmp and (lossless) .webp. A hole is seen in a square crop, mirrored
beyond the photo's edges and reduced to the model's size by the scale that is printed.
Standard output gets the paths written, standard error a line a photo. Where a photo cannot be
filled the others are, and the exit status is 1."""


@cli.program("ctxenc.inpaint")
def main() -> None:
    """Read the command line, fill the photos, print what was written."""
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
    words = re.sub(r"(^|\0)--box\0-", r"\1--box=-", "\0".join(sys.argv[1:]))
    given = parser.parse_args(words.split("\0") if words else [])
    if given.invert and not given.mask:
        parser.error("--invert goes with --mask")
    what = {"mask": given.mask, "painted": given.painted, "boxes": given.box or ()}
    what |= {"invert": given.invert, "grow": given.grow, "grid": given.grid}
    work = pairs(given.photos, given.output, given.mask or given.painted, grid=given.grid)
    for line in passed_over(given.photos):
        print(printable(line), file=sys.stderr)
    trained = TrainedModel.load(given.run, given.checkpoint)
    console, status = Console(stderr=True), 0
    # Where the paths go to a pipe they do not go through the bar, which would tear long ones.
    through = sys.stdout.isatty()
    with Progress(console=console, disable=not console.is_terminal, redirect_stdout=through) as bar:
        photos, holes = bar.add_task("photos", total=len(work)), bar.add_task("holes")

        def progress(done: int, total: int) -> None:
            bar.update(holes, completed=done, total=total)

        for file, result in work:
            try:
                with cli.one_line_errors("ctxenc.inpaint"):
                    said = fill_file(trained, file, result, **what, progress=progress)
                    print(printable(said), file=sys.stderr)
                    print(result, *([grid_of(result)] if given.grid else []), sep="\n")
            except SystemExit as left:
                if left.code != 1:  # stopped by Ctrl-C
                    raise
                status = 1
            bar.advance(photos)
    raise SystemExit(status)


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


if __name__ == "__main__":
    main()
