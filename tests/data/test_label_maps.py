import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctxenc.data import label_maps
from ctxenc.data.label_maps import read_shapes
from ctxenc.errors import UserError

REAL = Path(os.environ.get("CTXENC_REAL_DATA", "../shared/data")) / "bsds500_segments"


def labels():
    """A bar, an L, a speck, and a background of most of the map."""
    made = np.zeros((100, 120), np.uint8)
    made[:, 60:] = 1
    made[10:20, 5:45] = 3
    made[40:90, 10:20] = made[80:90, 10:30] = 255
    made[0, :4] = 9
    return made


def unpacked(shapes):
    return np.unpackbits(shapes.bits, axis=-1).astype(bool)


@pytest.mark.parametrize("mode", ["L", "P", "16 bits"])
def test_segments_are_cut_out_and_stretched_to_a_square(tmp_path, mode):
    image = Image.fromarray(labels().astype(np.uint16) if mode == "16 bits" else labels())
    if mode == "P":
        image.putpalette([255 - i // 3 for i in range(768)])
    (tmp_path / "deeper").mkdir()
    image.save(tmp_path / "deeper" / "a.PNG")
    (tmp_path / "notes.txt").write_text("no map")
    shapes = read_shapes(tmp_path)
    half, bar, ell = unpacked(shapes)  # the specks of label 9 are left out
    assert half.all()
    assert bar.all()
    assert ell[:, :32].all()
    assert ell[52:, 32:].all()
    assert not ell[:51, 32:].any()
    np.testing.assert_allclose(shapes.aspect, [100 / 60, 10 / 40, 50 / 20])


def test_a_large_map_is_read_in_time_and_its_shapes_are_the_same(tmp_path):
    Image.fromarray(labels().repeat(20, 0).repeat(20, 1)).save(tmp_path / "a.png")
    shapes = read_shapes(tmp_path)
    assert len(shapes.bits) == 3
    np.testing.assert_allclose(shapes.aspect, [100 / 60, 10 / 40, 50 / 20], rtol=0.1)


def test_of_many_shapes_some_are_kept_evenly_spread(tmp_path, monkeypatch):
    for number in range(6):
        made = np.zeros((40, 40), np.uint8)
        made[: 10 + 5 * number, :10] = 1
        Image.fromarray(made).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(label_maps, "MOST_SHAPES", 3)
    np.testing.assert_allclose(read_shapes(tmp_path).aspect, [1.0, 2.0, 3.5])
    monkeypatch.setattr(label_maps, "MOST_MAPS", 2)
    np.testing.assert_allclose(read_shapes(tmp_path).aspect, [1.0, 3.5])


def save_damaged(folder):
    Image.fromarray(labels()).save(folder / "a.png")
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])


REFUSED = {
    "nothing": (lambda folder: None, "no PNG files below it"),
    "text": (lambda folder: (folder / "a.png").write_text("x"), "a.png: cannot be read as a label"),
    "damaged": (save_damaged, "a.png: cannot be read as a label map"),
    "colours": (
        lambda folder: Image.new("RGB", (9, 9)).save(folder / "a.png"),
        "a.png: cannot be read as a label map: RGB pixels; expected one whole number per pixel",
    ),
    "background": (
        lambda folder: Image.new("L", (9, 9)).save(folder / "a.png"),
        "expected segments (pixels of one label other than 0) of 0.5% to 50% of a map",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_gives_no_shapes_is_refused_in_one_line(tmp_path, what):
    make, named = REFUSED[what]
    make(tmp_path)
    with pytest.raises(UserError, match=r"^[^\n]*$") as refused:
        read_shapes(tmp_path)
    assert named in str(refused.value)


def test_a_map_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    Image.new("L", (30, 30), 1).save(tmp_path / "a.png")
    monkeypatch.setattr(label_maps, "MOST_PIXELS", 800)
    with pytest.raises(UserError, match=r"a\.png: .*: 30 × 30 pixels; expected at most 800"):
        read_shapes(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"mask\.folder=.*/none: no such folder"):
        read_shapes(tmp_path / "none")


@pytest.mark.skipif(not REAL.is_dir(), reason="the Berkeley segmentations are not there")
def test_the_berkeley_segmentations():
    shapes = read_shapes(REAL / "val")
    assert 300 < len(shapes.bits) < 2000
    filled = unpacked(shapes).mean((1, 2))
    assert 0.3 < np.median(filled) < 0.9
    assert filled.min() > 0.02
