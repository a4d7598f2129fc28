"""Which pixels a mask's file says are missing: one rule for masks as people make them.

Programs paint white on black, save 0 and 1, 16 bits or floats, paint in colour, or on a transparent
layer. Which it is shows in the file; what can be read in two ways is refused.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageOps

from ctxenc.errors import UserError
from ctxenc.inpainting import PixelMask, photographs

WHITES = (1, 255, 65535)  # what white is, of the kinds of numbers that masks have
NEAR = 32  # of 255: colours that are so near are one, whatever an encoder did to them
MOST_COLOURS = 16  # of what is painted; a photograph has more
HINT = "white on black can be read in one way only"
COPY = "; --painted takes a copy of the photo that was painted over"


class MaskFile(NamedTuple):
    """The missing pixels; how the file was read; what there is in it, in words."""

    missing: PixelMask
    rule: str
    content: str


def read(file: Path, *, invert: bool = False) -> MaskFile:
    """Read a mask by this rule; with `invert` the other pixels are missing.

    1. Of one that is partly transparent, what is painted is missing, where that is of one colour
       and at most half of the layer; of a picture of many colours what was rubbed out, likewise.
    2. Of one with strong colours, whatever is painted on a plain black or white background, which
       must be half of it.
    3. Of any other what is white: above half of 1, 255 or 65,535, the least of these that holds its
       largest value. It must not be a picture: of many greys, more than half of them in between.

    Raises:
        UserError: as `photographs.read`; it can be read in two ways; nothing is missing, or all is.
    """
    with photographs.opened(file) as image:
        ImageOps.exif_transpose(image, in_place=True)
        found = _by_transparency(image) or _by_colour(image) or _by_value(image)
        missing, rule, content = found
        if missing.all() or not missing.any():
            amount = "all" if missing.any() else "nothing"
            raise UserError(f"{amount} is missing: {amount} is {rule} ({content}); {HINT}")
    return found._replace(missing=~missing, rule=f"not {rule}") if invert else found


def _by_transparency(image: Image.Image) -> MaskFile | None:
    if not image.has_transparency_data:
        return None
    layer = image.convert("RGBA")
    alpha = np.asarray(layer.getchannel("A"))
    seen = alpha > int(alpha.max()) // 2
    if seen.all():
        return None
    share = float(seen.mean())
    where = Image.fromarray(seen)
    ranges = [layer.getchannel(name).histogram(where) for name in "RGB"]
    spread = max(int(np.ptp(np.flatnonzero(counts))) if any(counts) else 0 for counts in ranges)
    alone = Image.composite(layer.convert("RGB"), Image.new("RGB", layer.size), where)
    content = (
        f"{1 - share:.1%} transparent, {'one colour' if spread <= NEAR else 'several colours'}"
    )
    if spread <= NEAR and share <= 0.5:
        return MaskFile(seen, "painted on a transparent layer", content)
    if alone.getcolors(MOST_COLOURS + 1) is None and share >= 0.5:
        return MaskFile(~seen, "transparent", content)
    raise UserError(
        f"a layer that can be read in two ways ({content}); expected strokes of one colour on at "
        f"most half of it, or a photo of which at most half is rubbed out; {HINT}"
    )


def _by_colour(image: Image.Image) -> MaskFile | None:
    if image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F")):
        return None
    red, green, blue = image.convert("RGB").split()
    high = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    low = ImageChops.darker(ImageChops.darker(red, green), blue)
    if np.asarray(ImageChops.subtract(high, low)).max() <= 127:
        return None
    highest, lowest = np.asarray(high), np.asarray(low)
    black, white = float((highest <= NEAR).mean()), float((lowest >= 255 - NEAR).mean())
    content = f"{black:.1%} black, {white:.1%} white, and colours"
    if max(black, white) < 0.5:
        raise UserError(
            f"a picture in colour ({content}); expected strokes on a plain black or white "
            f"background, half of it or more; {HINT}{COPY}"
        )
    ground = "black" if black >= white else "white"
    painted = highest > 127 if ground == "black" else lowest <= 127
    return MaskFile(painted, f"painted on {ground}", content)


def _by_value(image: Image.Image) -> MaskFile:
    number = image.mode.startswith(("I", "F"))
    values = np.asarray(image if number else image.convert("L"))
    least, largest = values.min().item(), values.max().item()
    if not np.isfinite(least + largest):
        raise UserError(f"values from {least} to {largest}; expected numbers")
    white = next((white for white in WHITES if largest <= white), largest)
    half = white / 2 if image.mode == "F" else int(white) // 2
    between = float(((values > white / 8) & (values < white * 7 / 8)).mean())
    if between > 0.5 and len(np.unique(values)) > MOST_COLOURS:
        raise UserError(
            f"a picture in grey ({between:.1%} of it neither black nor white); expected white on "
            f"black{COPY}"
        )
    return MaskFile(
        values > half, "white", f"values {least:g} to {largest:g}, white above {half:g}"
    )
