"""Masks as people make them, and as they should not.

``python -m tests.inpainting.mask_zoo FOLDER`` saves them all, to look at or to try.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (40, 60, 3), np.uint8)
HOLE = np.zeros((40, 60), bool)
HOLE[10:18, 20:40] = True
RED, BLUE, WHITE, BLACK = (230, 20, 30), (10, 20, 250), (255, 255, 255), (0, 0, 0)


def numbers(painted, ground, kind=np.uint8):
    return Image.fromarray(np.where(HOLE, kind(painted), kind(ground)))


def colours(painted, ground=BLACK):
    return Image.fromarray(np.where(HOLE[..., None], painted, ground).astype(np.uint8))


def with_alpha(pixels, alpha):
    return Image.fromarray(np.dstack([pixels, np.asarray(alpha, np.uint8)]))


def layer(colour, alpha=255, ground=BLACK):
    """Strokes on a transparent layer, whose pixels have a colour that nobody sees."""
    return with_alpha(colours(colour, ground), np.where(HOLE, alpha, 0))


def palette(*entries):
    image = Image.fromarray(HOLE.astype(np.uint8), "P")
    image.putpalette([value for entry in entries for value in entry])
    return image


TWO_COLOURS = colours(RED)
TWO_COLOURS.paste(BLUE, (0, 0, 10, 10))
SOFT = numbers(255, 0).resize((240, 160), Image.Resampling.NEAREST).resize((60, 40))  # grey edges
ZOO = {
    "white on black": (numbers(255, 0), "white"),
    "just above half": (numbers(128, 127), "white"),
    "soft edges": (SOFT, "white"),
    "bilevel": (Image.fromarray(HOLE), "white"),
    "white in RGB": (colours(WHITE), "white"),
    "opaque RGBA": (colours(WHITE).convert("RGBA"), "white"),
    "opaque LA": (numbers(255, 0).convert("LA"), "white"),
    "palette": (palette(BLACK, WHITE), "white"),
    "0 and 1": (numbers(1, 0), "white"),
    "palette of 0 and 1": (palette(BLACK, (1, 1, 1)), "white"),
    "16 bits": (numbers(65535, 0, np.uint16), "white"),
    "0 and 1 of 16 bits": (numbers(1, 0, np.uint16), "white"),
    "255 of 16 bits": (numbers(255, 0, np.uint16), "white"),
    "floats to 1": (numbers(1, 0, np.float32), "white"),
    "floats to 255": (numbers(255, 0, np.float32), "white"),
    "red on black": (colours(RED), "painted on black"),
    "red on white": (colours(RED, WHITE), "painted on white"),
    "blue on white": (colours(BLUE, WHITE), "painted on white"),
    "red palette": (palette(BLACK, (128, 0, 0)), "painted on black"),
    "white on transparent": (layer(WHITE), "painted on a transparent layer"),
    "white on transparent white": (layer(WHITE, ground=WHITE), "painted on a transparent layer"),
    "black on transparent": (layer(BLACK), "painted on a transparent layer"),
    "faint red on transparent": (layer(RED, alpha=90), "painted on a transparent layer"),
    "grey layer": (layer(WHITE).convert("LA"), "painted on a transparent layer"),
    "rubbed out": (with_alpha(PICTURE, np.where(HOLE, 0, 255)), "transparent"),
}


BLUE_TOO = np.asarray(TWO_COLOURS)[..., 2] > 99
PAINTED_PHOTO = Image.fromarray(np.where(HOLE[..., None], RED, PICTURE).astype(np.uint8))
REFUSED = {
    "nothing": (numbers(0, 0), "nothing is missing: nothing is white (values 0 to 0, white above"),
    "all": (numbers(255, 255), "all is missing: all is white (values 255 to 255"),
    "no white": (numbers(100, 0), "nothing is white (values 0 to 100, white above 127)"),
    "classes": (numbers(7, 3), "nothing is white (values 3 to 7"),
    "not a number": (numbers(np.nan, 0, np.float32), "values from nan to nan"),
    "an empty layer": (layer(WHITE, alpha=0), "nothing is painted on a transparent layer"),
    "two colours": (with_alpha(TWO_COLOURS, 255 * (HOLE | BLUE_TOO)), "two ways"),
    "a layer rubbed out": (with_alpha(colours(WHITE, WHITE), 255 * ~HOLE), "two ways"),
    "a picture mostly gone": (with_alpha(PICTURE, 255 * HOLE), "two ways"),
    "a painted photo": (PAINTED_PHOTO, "a picture in colour"),
    "a grey photo": (Image.fromarray(PICTURE[..., 0]), "a picture in grey (75.8%"),
    "an inverted layer": (with_alpha(colours(WHITE), 255 * ~HOLE), "two ways"),
}


def save(name, folder):
    """The mask of this name as a file: PNG, or TIFF where it is of floats."""
    image, _ = (ZOO | REFUSED)[name]
    file = Path(folder) / f"{name}.{'tif' if image.mode == 'F' else 'png'}"
    image.save(file)
    return file


if __name__ == "__main__":
    for name in ZOO | REFUSED:
        print(save(name, sys.argv[1]))
