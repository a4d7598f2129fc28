import functools

import numpy as np
import pytest
from PIL import Image

from ctxenc import contact_sheet
from tests.programs import started


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Start it in this process, in a folder of its own; (status, output, errors)."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(started, "show")


def test_it_says_what_is_missing_and_writes_the_sheet(program, tmp_path):
    status, output, errors = program("mask=border", "image_size=16", "fill_value=-1.0", "-n", 10)
    assert status == 0, errors
    missing, file = output.splitlines()
    assert missing == "missing: 75.0% to 75.0% of an image, mean 75.0%, over 1000 masks"
    assert file == "experiments/masks/photos-border.png"
    picture = np.asarray(Image.open(tmp_path / file))
    assert picture.shape[1] == 8 * (16 + 2) * 6 + 2 * 6 + 16
    last_band = picture[-(2 * 18 * 6 + 8) : -8]
    assert (last_band[12:36, 24:40] == 255).all()  # a mask's corner is missing, and white
    assert (last_band[12 + 108 : 36 + 108, 24:40] == 0).all()  # in its image it is filled, black
    assert (last_band[:, 300:] == 255).all()  # of ten images, two are in the last band


def test_a_larger_image_has_a_larger_hole(program):
    for size in (16, 64):
        _, output, _ = program("mask=random", f"image_size={size}", "-n", 1)
        assert output.startswith("missing: 25.0% to 25.0% of an image")


REFUSED = {
    "mask=nope": "mask=nope: expected blocks, border",
    "mask=border mask.visible=2": "mask.visible=2: ",
    "lambda_adv=-1": "lambda_adv=-1: expected",
    "-n 0": "--images 0: must be at least 1",
    "-o sheet.jpg": "--output sheet.jpg: expected a .png file",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_bad_input_is_one_line_and_writes_nothing(program, tmp_path, arguments):
    status, output, errors = program(*arguments.split())
    assert status == 1
    assert errors.startswith(f"ctxenc.show: {REFUSED[arguments]}")
    assert errors.count("\n") == 1
    assert not output
    assert not list(tmp_path.iterdir())


def test_a_narrow_sheet_breaks_its_title():
    made = contact_sheet.sheet(np.ones((1, 8, 8, 1)), np.zeros((1, 8, 8, 3)), "word " * 30)
    assert made.width == (8 + 4) * 12 + 16
    assert made.height > (2 * 10 + 2) * 12 + 4 * 22


def test_a_mask_of_the_users_own_folder_is_shown(program, tmp_path):
    own = tmp_path / "own" / "mask"
    own.mkdir(parents=True)
    (own / "edge.yaml").write_text(
        "# A frame.\n_target_: ctxenc.masks.border.frame\nvisible: 0.75\n"
    )
    arguments = ("-cd", "own", "mask=edge", "image_size=16", "-n", 2, "-o", "edge.png")
    status, output, errors = program(*arguments)
    assert status == 0, errors
    assert output.splitlines()[-1] == "edge.png"
    assert Image.open(tmp_path / "edge.png").width == 2 * 18 * 6 + 2 * 6 + 16
