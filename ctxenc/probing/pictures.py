"""A probe's pictures: which class is taken for which, and what is near to an image."""

import textwrap
from pathlib import Path

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from ctxenc.data.images import decode
from ctxenc.errors import printable
from ctxenc.probing.labelled import Labelled
from ctxenc.report import grids
from ctxenc.run_folder.files import whole

QUERIES, NEAREST = 8, 10  # rows and columns of the picture of neighbours
MOST_NAMED = 30  # classes whose names, and whose percentages, can be read


def save_confusion(
    file: Path, predicted: Int[np.ndarray, " images"], images: Labelled, title: str
) -> None:
    """Write the shares of each class's test images that are taken for each class, as a PNG."""
    true, count = images.test.numbers, len(images.classes)
    table = np.bincount(true * count + predicted, minlength=count**2).reshape(count, count)
    shares = 100 * table / table.sum(axis=1, keepdims=True)
    side = min(12, 2.5 + 0.5 * count)
    figure = Figure((side + 0.8, side), layout="constrained", dpi=100)
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(picture, label="% of the class's test images", shrink=0.8)
    axes.set(xlabel="taken for", ylabel="class", title=printable(title))
    axes.title.set_fontsize(10)
    if count <= MOST_NAMED:
        names = [textwrap.shorten(printable(name), 20, placeholder="…") for name in images.classes]
        axes.set_xticks(range(count), names, rotation=45, ha="right")
        axes.set_yticks(range(count), names)
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                colour = "white" if share > 50 else "black"
                axes.text(
                    column, row, f"{share:.0f}", color=colour, ha="center", va="center", size=8
                )
    with whole(file) as temporary:
        figure.savefig(temporary, format="png")


def save_neighbours(
    file: Path, nearest: Int[np.ndarray, "images k"], images: Labelled, title: str
) -> None:
    """Write test images, each beside the training images that are nearest to it, as a PNG.

    They are the first test image of each of the first classes, not chosen by how they look.
    """
    first = [np.flatnonzero(images.test.numbers == c)[0] for c in range(len(images.classes))]
    rows = {}
    for index in first[:QUERIES]:
        near = nearest[index, :NEAREST].tolist()
        shown = [decode(images.test.images, [int(index)]), decode(images.train.images, near)]
        name = images.classes[images.test.numbers[index]]
        name = textwrap.shorten(printable(name), 10, placeholder="…") or name[:10]
        rows[name] = np.concatenate(shown) / 127.5 - 1
    captions = ["test image", *(str(n + 1) for n in range(min(NEAREST, nearest.shape[1])))]
    grids.save(file, grids.captioned(title, rows, captions))
