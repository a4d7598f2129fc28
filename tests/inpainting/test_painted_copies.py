"""A copy that was painted over gives the painted pixels, or is refused."""

import cv2
import numpy as np
import pytest
from PIL import Image

from ctxenc.data.photos import photograph
from ctxenc.errors import UserError
from ctxenc.inpainting import painted_copies, photographs
from ctxenc.inpainting.photographs import Photograph, read, write

CHELSEA = Photograph(np.array(photograph("chelsea.png")))
RED = (230, 20, 30)
STROKES = np.zeros(CHELSEA.pixels.shape[:2], bool)
STROKES[40:60, 50:300] = STROKES[100:240, 200:215] = True


def painted(photo, where=STROKES, colour=RED):
    return Photograph(np.where(where[..., None], colour, photo.pixels).astype(np.uint8))


@pytest.mark.parametrize("name", ["copy.png", "copy.tif", "copy.bmp"])
def test_a_lossless_copy_gives_every_pixel_that_differs_however_little(tmp_path, name):
    copy = painted(CHELSEA)
    copy.pixels[0, 0] = CHELSEA.pixels[0, 0] ^ 1
    write(tmp_path / name, copy)
    missing, rule = painted_copies.read(CHELSEA, read(tmp_path / name))
    expected = (copy.pixels != CHELSEA.pixels).any(axis=2)
    assert expected[0, 0]
    assert (expected ^ STROKES).sum() == 1
    np.testing.assert_array_equal(missing, expected)
    assert rule == "pixels that differ from the photo"


@pytest.mark.parametrize("quality", [60, 75, 90])
@pytest.mark.parametrize("form", [f for f in photographs.LOSSY if f in photographs.FORMATS])
def test_what_a_lossy_format_changed_is_not_taken_for_paint(tmp_path, form, quality):
    file = tmp_path / f"copy.{form.lower()}"
    Image.fromarray(painted(CHELSEA).pixels).save(file, form, quality=quality)
    missing, rule = painted_copies.read(CHELSEA, read(file))
    assert rule == "patches of 16 or more pixels that differ by more than 48 of 255"
    assert missing[STROKES].mean() > 0.98
    # Colours are encoded two pixels wide: they run a little over the strokes' edges, no further.
    beside = cv2.dilate(STROKES.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert not missing[~beside].any()
    assert missing[~STROKES].mean() < 0.02


def test_a_lossy_copy_that_was_saved_as_png_is_read_like_one(tmp_path):
    Image.fromarray(painted(CHELSEA).pixels).save(tmp_path / "copy.jpg", quality=75)
    Image.open(tmp_path / "copy.jpg").save(tmp_path / "copy.png")
    from_jpeg, from_png = (
        painted_copies.read(CHELSEA, read(tmp_path / name)) for name in ("copy.jpg", "copy.png")
    )
    np.testing.assert_array_equal(from_jpeg[0], from_png[0])
    assert from_jpeg[1] == from_png[1]


def test_what_is_rubbed_out_of_a_copy_is_missing_and_colours_that_nobody_sees_are_no_matter():
    alpha = np.where(STROKES, 0, 255).astype(np.uint8)
    missing, _ = painted_copies.read(CHELSEA, Photograph(CHELSEA.pixels, alpha))
    np.testing.assert_array_equal(missing, STROKES)
    # Transparent in both, and in the copy without the colours that were there.
    photo, copy = Photograph(CHELSEA.pixels, alpha), painted(CHELSEA, colour=(0, 0, 0))
    copy = Photograph(copy.pixels, alpha)
    with pytest.raises(UserError, match="nothing is painted over"):
        painted_copies.read(photo, copy)


def test_colour_on_a_grey_photo_is_paint():
    grey = Photograph(CHELSEA.pixels[..., :1])
    shown = Photograph(np.repeat(grey.pixels, 3, axis=2))
    missing, _ = painted_copies.read(grey, painted(shown))
    np.testing.assert_array_equal(missing, STROKES)


OTHER = Photograph(np.array(photograph("coffee.png"))[:300, :451])


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (Photograph(CHELSEA.pixels[:-1]), "451×299 pixels; expected 451×300, the photo's size"),
        (CHELSEA, r"nothing is painted over: .*\(the most is 0\)"),
        (Photograph(255 - CHELSEA.pixels), "% of it are patches of 16 or more .* at most half"),
        (OTHER, "% of it are patches of 16 or more .* at most half"),
    ],
    ids=["size", "same", "negative", "another photo"],
)
def test_what_is_no_painted_copy_is_refused(copy, words):
    with pytest.raises(UserError, match=words):
        painted_copies.read(CHELSEA, copy)
