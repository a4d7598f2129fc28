"""Masks as people make them: each gives the painted pixels, or is refused by its own name."""

import numpy as np
import pytest
from PIL import Image

from ctxenc.errors import UserError
from ctxenc.inpainting.mask_files import read
from tests.inpainting.mask_zoo import HOLE, RED, REFUSED, WHITE, ZOO, colours, save


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("name", ZOO)
def test_what_is_missing_is_what_was_painted(tmp_path, name, invert):
    _, rule = ZOO[name]
    found = read(save(name, tmp_path), invert=invert)
    np.testing.assert_array_equal(found.missing, HOLE ^ invert)
    assert found.rule == (f"not {rule}" if invert else rule)


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_grey_edges_of_a_jpeg_are_on_their_own_side(tmp_path, quality):
    colours(WHITE).convert("L").save(tmp_path / "mask.jpg", quality=quality)
    np.testing.assert_array_equal(read(tmp_path / "mask.jpg").missing, HOLE)


def test_black_on_white_is_never_turned_round(tmp_path):
    Image.fromarray(~HOLE).save(tmp_path / "mask.png")
    found = read(tmp_path / "mask.png")
    np.testing.assert_array_equal(found.missing, ~HOLE)
    assert found.rule == "white"


def test_a_jpeg_of_red_strokes_is_read_as_painted(tmp_path):
    colours(RED).save(tmp_path / "mask.jpg", quality=90)
    found = read(tmp_path / "mask.jpg")
    assert found.rule == "painted on black"
    assert (found.missing ^ HOLE).mean() < 0.02


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_or_says_nothing_is_refused(tmp_path, name):
    _, words = REFUSED[name]
    file = save(name, tmp_path)
    with pytest.raises(UserError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
