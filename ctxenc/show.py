"""``python -m ctxenc.show mask=region``: what a mask hides, on real images, before any training."""

import argparse
from pathlib import Path

from ctxenc.cli import one_line_errors
from ctxenc.report.mask_sheet import show

DESCRIPTION = """\
Draws a contact sheet of a mask: test masks, and the test images that they are of. Nothing is
trained, and no model is made. Prints how much of the images is missing, and last the file.

  python -m ctxenc.show mask=region
  python -m ctxenc.show mask=blocks mask.blocks=3 image_size=128 -o blocks.png"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "python -m ctxenc.show",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    overrides = "KEY=VALUE, as for ctxenc.train"
    made.add_argument("overrides", metavar="OVERRIDE", nargs="*", help=overrides)
    where = "PNG to write (default: experiments/masks/DATASET-MASK.png)"
    made.add_argument("-o", "--output", metavar="FILE", type=Path, help=where)
    made.add_argument("-n", "--images", metavar="N", type=int, default=24, help="(default: 24)")
    return made


def main() -> None:
    """Read the command line, draw the sheet, print what is missing and the file."""
    asked = parser().parse_intermixed_args()
    with one_line_errors("ctxenc.show"):
        print(*show(asked.overrides, asked.output, asked.images), sep="\n")


if __name__ == "__main__":
    main()
