"""``python -m ctxenc.inpaint RUN PHOTO… --mask FILE -o OUT``: fill holes of your own photos."""

import sys

from rich.console import Console
from rich.progress import Progress

from ctxenc import cli
from ctxenc.errors import printable
from ctxenc.inpainting.command_line import read
from ctxenc.inpainting.files import fill_file, grid_of, pairs, passed_over
from ctxenc.trained import TrainedModel


@cli.program("ctxenc.inpaint")
def main() -> None:
    """Read the command line, fill the photos, print what was written."""
    given = read(sys.argv[1:])
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


if __name__ == "__main__":
    main()
