"""The program, as a user starts it."""

import contextlib
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageCms
from scipy.ndimage import distance_transform_edt

from ctxenc import inpaint, launch
from ctxenc.errors import UserError
from ctxenc.inpainting.files import KINDS, pairs, passed_over
from tests.inpainting import mask_zoo
from tests.tiny import TINY

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (50, 70, 3), np.uint8)
BOX = ["--box", "20,10,16,12"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("run")):
        return str(launch.run(*TINY, "mask=random", "max_steps=2").path)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")


@pytest.fixture
def program(monkeypatch, capsys):
    """The program in this process: (exit status, standard output, standard error), by lines."""

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["inpaint", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            inpaint.main()
        out, err = capsys.readouterr()
        return left.value.code or 0, out.splitlines(), err.splitlines()

    return start


def pixels(file):
    return np.asarray(Image.open(file))


def missing(*boxes, shape=PHOTO.shape[:2]):
    mask = np.zeros(shape, bool)
    for x, y, wide, high in boxes:
        mask[y : y + high, x : x + wide] = True
    return mask


def test_the_program_fills_the_box_and_reports_it_in_one_line(run, tmp_path):
    command = [sys.executable, "-m", "ctxenc.inpaint", run, "photo.png", *BOX, "-o", "out.png"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out.png\n"
    assert done.stderr == "photo.png 70×50: 1 hole, 5.5 % missing, 1 crop of 32 px at scale 2.0\n"
    hole = missing((20, 10, 16, 12))
    np.testing.assert_array_equal(pixels("out.png")[~hole], PHOTO[~hole])
    assert (pixels("out.png")[hole] != PHOTO[hole]).mean() > 0.9


def test_help_needs_no_run(program):
    status, out, _ = program("--help")
    assert status == 0
    assert any("--mask" in line for line in out)


def test_a_mask_the_same_as_boxes_and_its_inverse_give_the_same_fill(program, run):
    hole = missing((20, 10, 16, 12), (60, 40, 10, 10))
    Image.fromarray(hole).save("mask.png")
    Image.fromarray(~hole).save("not.png")
    boxes = [*BOX, "--box", "60,40,10,10"]
    for name, how in (
        ("a", boxes),
        ("b", ["--mask", "mask.png"]),
        ("c", ["--mask", "not.png", "--invert"]),
    ):
        status, out, err = program(run, "photo.png", *how, "-o", f"{name}.png")
        assert (status, out) == (0, [f"{name}.png"])
    assert err == [
        "photo.png 70×50: 2 holes, 8.3 % missing (not.png: what is not white), 2 crops of 20 px at "
        "scale 1.2 to 32 px at scale 2.0"
    ]
    np.testing.assert_array_equal(pixels("a.png"), pixels("b.png"))
    np.testing.assert_array_equal(pixels("a.png"), pixels("c.png"))
    np.testing.assert_array_equal(pixels("a.png")[~hole], PHOTO[~hole])


def test_center_is_the_models_box_of_the_central_square(program, run):
    assert program(run, "photo.png", "--center", "-o", "a.png")[0] == 0
    assert program(run, "photo.png", "--box", "22,12,25,25", "-o", "b.png")[0] == 0
    np.testing.assert_array_equal(pixels("a.png"), pixels("b.png"))


def test_the_grid_shows_before_masked_and_after(program, run):
    status, out, _ = program(run, "photo.png", *BOX, "-o", "out.png", "--grid")
    assert (status, out) == (0, ["out.png", "out-grid.png"])
    before, masked, after = (pixels("out-grid.png")[:, x : x + 70] for x in (0, 78, 156))
    hole = missing((20, 10, 16, 12))
    np.testing.assert_array_equal(before, PHOTO)
    np.testing.assert_array_equal(after, pixels("out.png"))
    np.testing.assert_array_equal(masked[~hole], PHOTO[~hole])
    assert len(np.unique(masked[hole], axis=0)) == 1


def test_a_folder_is_filled_and_one_bad_photo_does_not_stop_it(program, run, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(PHOTO).save("in/a.jpg")
    Image.fromarray(PHOTO[..., 0]).save("in/a.png")
    Image.fromarray(PHOTO[:40]).save("in/other.webp", lossless=True)
    (tmp_path / "in" / "bad.jpg").write_bytes((tmp_path / "in" / "a.jpg").read_bytes()[:900])
    (tmp_path / "in" / "notes.txt").write_text("not a photo")
    status, out, err = program(run, "in", *BOX, "-o", "out")
    assert status == 1
    assert sorted(out) == ["out/a.jpg.png", "out/a.png.png", "out/other.png"]
    assert [line for line in err if line.startswith("ctxenc.inpaint: in/bad.jpg: damaged")]
    assert err[0] == f"in: 1 file is no {KINDS}: 1 .txt"
    assert len(err) == 5
    hole = missing((20, 10, 16, 12))
    np.testing.assert_array_equal(pixels("out/a.jpg.png")[~hole], pixels("in/a.jpg")[~hole])
    assert pixels("out/a.png.png").ndim == 2


def test_a_folder_of_masks_has_one_for_each_name(program, run, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(missing((20, 10, 16, 12))).save("masks/photo.png")
    Image.fromarray(PHOTO).save("lonely.png")
    composed, apart = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    Image.fromarray(PHOTO).save(composed)  # as Linux writes it
    Image.fromarray(missing((20, 10, 16, 12))).save(f"masks/{apart}")  # as a Mac does
    photos = ["photo.png", "lonely.png", composed]
    status, out, err = program(run, *photos, "--mask", "masks", "-o", "out")
    assert (status, out) == (1, ["out/photo.png", f"out/{composed}"])
    err.pop()
    assert err[-1] == "ctxenc.inpaint: masks: 0 images are called lonely; expected one"


def test_a_hole_that_was_cut_out_can_be_seen_once_it_is_filled(program, run):
    photo = np.full((40, 50, 4), 200, np.uint8)
    photo[10:20, 10:20, 3] = 0
    photo[30, 30, 3] = 7
    Image.fromarray(photo).save("cut.png")
    assert program(run, "cut.png", "--box", "10,10,10,10", "-o", "whole.png")[0] == 0
    alpha = np.asarray(Image.open("whole.png"))[..., 3]
    assert (alpha[10:20, 10:20] == 255).all()
    assert alpha[30, 30] == 7


def test_results_that_would_share_a_file_are_refused(tmp_path):
    photos = [tmp_path / "a.jpg", tmp_path / "a-grid.jpg"]
    assert len(pairs(photos, tmp_path / "out")) == 2
    with pytest.raises(UserError, match=r"a-grid\.png: two photos would go there"):
        pairs(photos, tmp_path / "out", grid=True)
    with pytest.raises(UserError, match=r"a\.jpg\.png: two photos would go there"):
        pairs([tmp_path / "b" / "a.jpg", tmp_path / "c" / "a.jpg"], tmp_path / "out")


def test_a_folder_without_an_image_is_refused_wherever_it_is_in_the_list(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no image in this folder"):
        pairs([tmp_path / "photo.png", tmp_path / "empty"], tmp_path / "out")


def test_opacity_and_colour_profile_stay(program, run):
    photo = np.dstack([PHOTO, PHOTO[..., 0]])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo).save("alpha.png", icc_profile=profile)
    assert program(run, "alpha.png", *BOX, "-o", "out.png")[0] == 0
    hole = missing((20, 10, 16, 12))
    np.testing.assert_array_equal(pixels("out.png")[..., 3], photo[..., 3])
    assert Image.open("out.png").info["icc_profile"] == profile
    np.testing.assert_array_equal(pixels("out.png")[~hole], photo[~hole])


def test_a_name_without_an_ending_is_a_folder(program, run):
    status, out, _ = program(run, "photo.png", *BOX, "-o", "new/")
    assert (status, out) == (0, ["new/photo.png"])


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("-5,0,10,10", "--box -5,0,10,10: must be within photo.png, which is 70×50"),
        ("6,0,0,5", "--box 6,0,0,5: 0×5 pixels; expected a width and height of 1 or more"),
        ("6,0,5,-5", "--box 6,0,5,-5: 5×-5 pixels; expected a width and height of 1 or more"),
    ],
)
def test_a_bad_box_is_said_to_be_bad_in_its_own_way(box, words, program, run):
    status, _, (line,) = program(run, "photo.png", "--box", box, "-o", "o.png")
    assert (status, line) == (1, f"ctxenc.inpaint: {words}")


def test_a_mask_that_says_nothing_is_named_with_what_is_in_it(program, run):
    Image.fromarray(np.full(PHOTO.shape[:2], 100, np.uint8)).save("grey.png")
    _, _, (line,) = program(run, "photo.png", "--mask", "grey.png", "-o", "o.png")
    assert "grey.png: nothing is missing: nothing is white (values 100 to 100" in line


def test_what_is_not_kept_of_a_photo_is_said(program, run):
    Image.fromarray(PHOTO).save("printed.png", dpi=(300, 300))
    _, _, (line,) = program(run, "printed.png", *BOX, "-o", "o.webp")
    assert line.endswith("; without its dpi, for which .webp has no place")


def test_a_jpeg_result_comes_with_a_warning_that_every_pixel_is_encoded_anew(program, run):
    status, out, err = program(run, "photo.png", *BOX, "-o", "out.jpg")
    assert (status, out) == (0, ["out.jpg"])
    assert "; JPEG encodes every pixel anew" in err[-1]


BAD = {
    "no-run": ("/nowhere", "photo.png", *BOX, "-o", "o.png"),
    "not-a-run": (".", "photo.png", *BOX, "-o", "o.png"),
    "no-photo": ("RUN", "none.png", *BOX, "-o", "o.png"),
    "empty-folder": ("RUN", "empty", *BOX, "-o", "o"),
    "box-outside": ("RUN", "photo.png", "--box", "60,0,20,5", "-o", "o.png"),
    "box-of-nothing": ("RUN", "photo.png", "--box", "6,0,0,5", "-o", "o.png"),
    "mask-of-another-size": ("RUN", "photo.png", "--mask", "small.png", "-o", "o.png"),
    "mask-of-nothing": ("RUN", "photo.png", "--mask", "black.png", "-o", "o.png"),
    "mask-of-all": ("RUN", "photo.png", "--mask", "black.png", "--invert", "-o", "o.png"),
    "no-mask": ("RUN", "photo.png", "--mask", "none.png", "-o", "o.png"),
    "over-the-photo": ("RUN", "photo.png", *BOX, "-o", "./photo.png"),
    "over-the-mask": ("RUN", "photo.png", "--mask", "black.png", "-o", "black.png"),
    "no-format": ("RUN", "photo.png", *BOX, "-o", "o.xyz"),
    "no-checkpoint": ("RUN", "photo.png", *BOX, "-o", "o.png", "--checkpoint", "7"),
    "hole-too-large": ("RUN", "photo.png", "--box", "0,0,70,50", "-o", "o.png"),
    "no-copy": ("RUN", "photo.png", "--painted", "none.png", "-o", "o.png"),
    "copy-of-another-size": ("RUN", "photo.png", "--painted", "small.png", "-o", "o.png"),
    "copy-of-nothing": ("RUN", "photo.png", "--painted", "photo.png", "-o", "o.png"),
    "over-the-copy": ("RUN", "photo.png", "--painted", "black.png", "-o", "black.png"),
    "mask-of-numbers": ("RUN", "photo.png", "--mask", "mask.npy", "-o", "o.png"),
    "grown-over-all": ("RUN", "photo.png", *BOX, "--grow", "99", "-o", "o.png"),
    "one-pixel": ("RUN", "one.png", "--center", "-o", "o.png"),
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=list(BAD))
def test_bad_input_is_one_line_a_non_zero_exit_and_nothing_written(
    arguments, program, run, tmp_path
):
    (tmp_path / "empty").mkdir()
    Image.fromarray(np.zeros((50, 70), np.uint8)).save("black.png")
    Image.fromarray(missing((1, 1, 2, 2), shape=(5, 7))).save("small.png")
    Image.fromarray(PHOTO[:1, :1]).save("one.png")
    np.save("mask.npy", missing((20, 10, 16, 12)))
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    status, out, err = program(*(run if a == "RUN" else a for a in arguments))
    assert status == 1
    assert out == []
    (line,) = err
    assert line.startswith("ctxenc.inpaint: ")
    after = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert after == before


def test_a_mask_of_another_size_is_refused_with_both_sizes(program, run):
    Image.fromarray(missing((1, 1, 2, 2), shape=(5, 7))).save("small.png")
    _, _, (line,) = program(run, "photo.png", "--mask", "small.png", "-o", "o.png")
    assert "7×5" in line
    assert "70×50" in line


@pytest.mark.parametrize(
    "arguments",
    [
        [*BOX, "--invert"],
        ["--painted", "photo.png", "--invert"],
        ["--box", "1,2,3"],
        [*BOX, "--center"],
        ["--painted", "photo.png", *BOX],
        [*BOX, "--grow", "-3"],
        [*BOX, "--grow", "1.5"],
    ],
)
def test_flags_that_make_no_sense_are_refused_by_name(arguments, program):
    status, out, err = program("run", "photo.png", *arguments, "-o", "o.png")
    assert (status, out) == (2, [])
    assert any(flag in err[-1] for flag in ("--box", "--invert", "--grow"))


def test_every_mask_of_the_zoo_fills_what_was_painted_or_is_refused_by_name(program, run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for name in mask_zoo.ZOO | mask_zoo.REFUSED:
        Image.fromarray(mask_zoo.PICTURE).save(f"photos/{name}.png")
        mask_zoo.save(name, "masks")
    status, out, err = program(run, "photos", "--mask", "masks", "-o", "out")
    assert (status, sorted(out)) == (1, sorted(f"out/{name}.png" for name in mask_zoo.ZOO))
    assert program(run, "photos/palette.png", "--box", "20,10,20,8", "-o", "box.png")[0] == 0
    filled = pixels("box.png")
    np.testing.assert_array_equal((filled != mask_zoo.PICTURE).any(axis=2), mask_zoo.HOLE)
    for name, (_, rule) in mask_zoo.ZOO.items():
        np.testing.assert_array_equal(pixels(f"out/{name}.png"), filled)
        (line,) = (line for line in err if line.startswith(f"{name}.png 60×40: 1 hole, 6.7 % "))
        assert f": what is {rule})" in line
    for name, (_, words) in mask_zoo.REFUSED.items():
        (line,) = (line for line in err if line.startswith(f"ctxenc.inpaint: masks/{name}."))
        assert words in line
    assert len(err) == len(mask_zoo.ZOO | mask_zoo.REFUSED)


def test_black_on_white_fills_the_white_and_says_how_to_turn_it_round(program, run):
    hole = missing((20, 10, 16, 12))
    Image.fromarray(~hole).save("mask.png")
    status, _, (line,) = program(run, "photo.png", "--mask", "mask.png", "-o", "out.png")
    assert status == 0
    assert "95 % missing (mask.png: what is white; --invert takes the other pixels), " in line
    np.testing.assert_array_equal(pixels("out.png")[hole], PHOTO[hole])


def test_what_is_painted_in_a_copy_is_filled_and_grown_by_a_disc(program, run, tmp_path):
    (tmp_path / "copies").mkdir()
    copy = PHOTO.copy()
    copy[12:20, 22:34] ^= 1
    Image.fromarray(copy).save("copies/photo.png")
    for copies in ("copies", "copies/photo.png"):
        given = ["--painted", copies, "--grow", "2"]
        status, _, (line,) = program(run, "photo.png", *given, "-o", "out.png")
        assert status == 0
        assert (
            "1 hole, 5.1 % missing (photo.png: pixels that differ from the photo, "
            "grown by a disc of 2 px), 1 crop of" in line
        )
    near = distance_transform_edt((copy == PHOTO).all(axis=2)) <= 2
    np.testing.assert_array_equal((pixels("out.png") != PHOTO).any(axis=2), near)


def test_a_hole_of_nearly_all_is_filled_and_said_to_lack_detail(program, run):
    """At scale 2, as in the first test, nothing is said."""
    box = ["--box", "0,0,70,49"]
    status, _, (line,) = program(run, "photo.png", *box, "-o", "out.png")
    assert status == 0
    assert line.endswith(
        "1 crop of 140 px at scale 8.8; above scale 2 a fill has much less detail than the photo"
    )
    np.testing.assert_array_equal(pixels("out.png")[49], PHOTO[49])


def test_files_of_a_folder_that_are_no_photos_are_counted(tmp_path):
    for name in ("a.png", "b.jfif", "c.heic", "d.heic", "e", ".hidden.heic"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    words = f"3 files are no {KINDS}: 2 .heic, 1 without an ending"
    assert passed_over([tmp_path, tmp_path / "a.png"]) == [f"{tmp_path}: {words}"]
    assert passed_over([tmp_path / "folder"]) == []
