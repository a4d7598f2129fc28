"""``python -m ctxenc.show mask=region``: what a mask hides, on real images, before any training."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ctxenc import cli
from ctxenc.config import search_path
from ctxenc.contact_sheet import draw
from ctxenc.errors import UserError
from ctxenc.run_folder.files import whole

DESCRIPTION = """\
Draws a contact sheet of a mask: validation masks, and the images that they are of. Nothing is
trained, and no model is made. Prints how much of the images is missing, and last the file.

  %(prog)s mask=region
  %(prog)s mask=blocks mask.blocks=3 image_size=128 -o blocks.png"""


@cli.program("ctxenc.show")
def main() -> None:
    """Read the command line, draw the sheet, print what is missing and the file."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = cli.parser("show", description=DESCRIPTION, formatter_class=layout)
    add = parser.add_argument
    add("overrides", metavar="OVERRIDE", nargs="*", help="KEY=VALUE, as for ctxenc.train")
    where = "PNG to write (default: experiments/masks/DATASET-MASK.png)"
    add("-o", "--output", metavar="FILE", type=Path, help=where)
    add("-n", "--images", metavar="N", type=int, default=24, help="(default: 24)")
    add("-cd", "--config-dir", metavar="DIR", help="your own YAML files, as for ctxenc.train")
    given = parser.parse_intermixed_args()
    search_path.add(given.config_dir)
    print(*show(given.overrides, given.output, given.images), sep="\n")


def show(overrides: Sequence[str], output: Path | None, count: int) -> tuple[str, Path]:
    """Write the contact sheet of a configuration's validation masks.

    Args:
        overrides: as on the command line of ``ctxenc.train``.
        output: a PNG file; None: one in `experiments/masks/`, named after dataset and mask.
        count: images; fewer where the validation split has fewer.

    Returns:
        (a line on how much of the images is missing, the file).

    Raises:
        UserError: bad input, before anything is written.
    """
    if output is not None and (output.suffix.lower() != ".png" or output.is_dir()):
        raise UserError(f"--output {output}: expected a .png file")
    drawing = draw(overrides, count)
    file = output or Path("experiments", "masks", f"{drawing.name}.png")
    with whole(file) as temporary:
        drawing.sheet.save(temporary, format="PNG")
    return drawing.missing, file


if __name__ == "__main__":
    main()
