import itertools
import logging
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ctxenc.data.folder import folder
from ctxenc.data.images import decode
from ctxenc.data.walk import files_below
from ctxenc.errors import UserError


def save(file, number, shape=(12, 10)):
    """A picture unlike that of any other number."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return pixels


def fill(root, count, kind="png"):
    for number in range(count):
        save(root / f"{number:03d}.{kind}", number)


def opened(root, image_size=8, test_fraction=0.3, **options):
    return folder(path=str(root), test_fraction=test_fraction, image_size=image_size, **options)


def names(images):
    return list(images.pictures.names)


def splits(data):
    return [names(images) for images in (data.train, data.validation, data.test)]


def every(data):
    return sorted(name for split in splits(data) for name in split)


def test_all_kinds_and_sizes_below_a_folder_become_squares_of_one_size(tmp_path):
    shapes = [(8, 8), (40, 9), (9, 40), (3, 5), (64, 64)]
    kinds = ["jpg", "JPEG", "png", "webp", "jpe", "jfif"]
    for number, (shape, kind) in enumerate(itertools.product(shapes, kinds)):
        save(tmp_path / "some" / "where" / f"{number}.{kind}", number, shape)
    data = opened(tmp_path)
    assert len(every(data)) == 30
    for images in (data.train, data.validation, data.test):
        assert images.image_size == 8
        assert decode(images, range(len(images))).shape == (len(images), 8, 8, 3)


def test_a_picture_of_the_size_keeps_its_pixels(tmp_path):
    train = save(tmp_path / "train" / "a.png", 1, (8, 8))
    test = save(tmp_path / "test" / "b.png", 2, (8, 8))
    validation = save(tmp_path / "val" / "c.png", 3, (8, 8))
    data = opened(tmp_path)
    np.testing.assert_array_equal(data.train[0], train)
    np.testing.assert_array_equal(data.validation[0], validation)
    np.testing.assert_array_equal(data.test[0], test)
    assert data.name == tmp_path.name


def test_files_of_other_kinds_are_counted_in_one_line(tmp_path, caplog):
    fill(tmp_path, 20)
    for name in ("notes.txt", "movie.gif", "other.GIF", "png", "a.json", "a.tif", "a.heic"):
        (tmp_path / name).write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    data = opened(tmp_path)
    assert len(every(data)) == 20
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}: 7 files are no JPEG, PNG or WebP: 2 .gif, ")
    assert line.endswith(", …")


def test_what_programs_and_systems_keep_in_a_folder_is_left_out(tmp_path, caplog):
    fill(tmp_path, 20)
    for number, name in enumerate((".ipynb_checkpoints", "@eaDir", "__MACOSX", ".Trash", "a/.b")):
        save(tmp_path / name / "a.png", 100 + number)
    save(tmp_path / ".hidden.png", 200)
    assert every(opened(tmp_path)) == [f"{number:03d}.png" for number in range(20)]
    assert not caplog.records


def test_unreadable_files_are_named_skipped_and_counted(tmp_path, caplog):
    fill(tmp_path, 20, "jpg")
    whole = (tmp_path / "000.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "empty.webp").touch()
    (tmp_path / "broken link.png").symlink_to(tmp_path / "nowhere.png")
    with caplog.at_level(logging.WARNING):
        data = opened(tmp_path)
    assert len(every(data)) == 20
    for name in ("truncated.jpg", "text.jpg", "empty.webp", "broken link.png"):
        assert f"{tmp_path / name}: skipped: " in caplog.text
        assert name not in every(data)
    assert f"{tmp_path}: 4 of 24 images skipped" in caplog.text


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("train", "validation", "test"),
        ("Train", "Val", "Test"),
        ("train", "validation", "val"),  # as if val were another's test
    ],
)
def test_subfolders_are_the_splits(tmp_path, train, validation, test):
    for number in range(3):
        save(tmp_path / train / "deep" / f"{number}.png", number)
        save(tmp_path / test / f"{number}.png", 10 + number)
        save(tmp_path / validation / f"{number}.png", 20 + number)
    assert splits(opened(tmp_path)) == [
        [f"{train}/deep/{number}.png" for number in range(3)],
        [f"{validation}/{number}.png" for number in range(3)],
        [f"{test}/{number}.png" for number in range(3)],
    ]


@pytest.mark.parametrize("test", ["test", "val", "validation", "VAL"])
def test_of_two_subfolders_one_is_the_test_split_and_training_images_are_held_out(tmp_path, test):
    fill(tmp_path / "train", 60)
    for number in range(3):
        save(tmp_path / test / f"{number}.png", 100 + number)
    data = opened(tmp_path)
    assert names(data.test) == [f"{test}/{number}.png" for number in range(3)]
    held_out = names(data.validation)
    assert sorted(names(data.train) + held_out) == [f"train/{n:03d}.png" for n in range(60)]
    assert 2 <= len(held_out) <= 12
    assert splits(opened(tmp_path, test_fraction=0.9)) == splits(data)  # of no effect here


def test_a_subfolder_beside_train_that_is_no_known_split_is_said(tmp_path, caplog):
    fill(tmp_path / "train", 40)
    fill(tmp_path / "valid", 20)
    data = opened(tmp_path)
    assert len(every(data)) == len({*every(data)})
    assert "train/ stands beside valid/, and none is a split that is known" in caplog.text


@pytest.mark.parametrize("only", ["train", "test", "val"])
def test_one_such_subfolder_alone_is_like_any_other(tmp_path, only):
    fill(tmp_path / only, 60)
    data = opened(tmp_path)
    assert min(map(len, splits(data))) > 0
    assert every(data) == [f"{only}/{n:03d}.png" for n in range(60)]


def test_images_outside_the_splits_are_counted_in_the_log(tmp_path, caplog):
    for number, name in enumerate(("train/a.png", "val/a.png", "test/a.png", "a.png", "b/b.png")):
        save(tmp_path / name, number)
    with caplog.at_level(logging.INFO):
        opened(tmp_path)
    assert f"{tmp_path}: 2 images outside test/, val/, train/ are not used" in caplog.text


def test_a_test_folder_without_a_readable_image_is_no_reason_to_test_on_training_images(tmp_path):
    for number in range(30):
        save(tmp_path / "train" / f"{number}.png", number)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"30 readable images, none of them for the test split"):
        opened(tmp_path)


def test_copies_of_what_is_held_out_are_left_out_and_counted(tmp_path, caplog):
    pictures = {
        1: ["train/own.png", "train/own_twice.png"],
        2: ["test/original.png", "test/twice.png", "train/copy.png", "train/deep/another.png"],
        3: ["test/other.png", "val/copy.png", "train/third.png"],
        4: ["val/original.png", "train/fourth.png"],
    }
    for number, files in pictures.items():
        for name in files:
            save(tmp_path / name, number)
    with caplog.at_level(logging.WARNING):
        data = opened(tmp_path)
    assert splits(data) == [
        ["train/own.png", "train/own_twice.png"],
        ["val/original.png"],
        ["test/original.png", "test/other.png", "test/twice.png"],
    ]
    assert "4 train images are copies of held-out images: left out" in caplog.text
    assert "1 validation images are copies of held-out images: left out" in caplog.text
    assert "test images are copies" not in caplog.text


def test_a_copy_of_what_is_held_out_of_the_training_folder_is_held_out_too(tmp_path):
    fill(tmp_path / "train", 60)
    for number in range(60):
        save(tmp_path / "train" / "again" / f"{number:03d}.png", number)
    save(tmp_path / "test" / "a.png", 100)
    train, validation, _ = splits(opened(tmp_path))
    assert len(train) + len(validation) == 120
    assert {Path(name).name for name in train}.isdisjoint(Path(name).name for name in validation)


@given(
    pictures=st.lists(st.integers(0, 30), min_size=2, max_size=50),
    fraction=st.sampled_from([0.05, 0.3, 0.5, 0.99]),
    folders=st.sampled_from([(".",), ("train", "test"), ("train", "val", "test")]),
)
@settings(max_examples=40, deadline=None)
def test_no_picture_is_in_two_splits_and_none_is_lost(pictures, fraction, folders):
    with tempfile.TemporaryDirectory() as path:
        root = Path(path)
        there = set()
        for position, number in enumerate(pictures):
            name = Path(folders[position % len(folders)], f"{position}.png")
            save(root / name, number)
            there.add(name.as_posix())
        try:
            data = opened(root, test_fraction=fraction)
        except UserError as error:
            assert "none of them for the" in str(error)  # noqa: PT017
            return
        contents = [{(root / name).read_bytes() for name in split} for split in splits(data)]
        assert len(set.union(*contents)) == sum(map(len, contents))
        lost = there - set(every(data))
        assert not lost or folders != (".",)
        held_out = contents[1] | contents[2]
        assert all((root / name).read_bytes() in held_out for name in lost)


def test_the_split_depends_on_the_content_of_each_file_alone(tmp_path):
    fill(tmp_path / "here", 60)
    for number in range(60):  # the same pictures, other names
        save(tmp_path / "there" / "deep" / f"x{60 - number}.png", number)
    fill(tmp_path / "fewer", 30)
    here, there, fewer = (opened(tmp_path / name) for name in ("here", "there", "fewer"))
    again = opened(tmp_path / "here")
    assert splits(again) == splits(here)
    for of_there, of_here, of_fewer in zip(*map(splits, (there, here, fewer)), strict=True):
        renamed = {f"{60 - int(Path(name).stem[1:]):03d}.png" for name in of_there}
        assert renamed == set(of_here)
        assert of_fewer == [name for name in of_here if name < "030"]


def test_the_shares_held_out_are_about_those_asked_for(tmp_path):
    fill(tmp_path, 300)
    for fraction in (0.1, 0.5):
        data = opened(tmp_path, test_fraction=fraction)
        assert len(data.test) / 300 == pytest.approx(fraction, abs=0.1)
        rest = 300 - len(data.test)
        assert len(data.validation) / rest == pytest.approx(0.1, abs=0.05)


def test_another_share_to_test_on_moves_no_image_between_training_and_validation(tmp_path):
    fill(tmp_path, 100)
    few, many = (opened(tmp_path, test_fraction=fraction) for fraction in (0.1, 0.4))
    assert set(names(few.test)) < set(names(many.test))
    assert set(names(many.train)) < set(names(few.train))
    assert set(names(many.validation)) <= set(names(few.validation))


def test_all_images_may_be_the_test_split(tmp_path):
    fill(tmp_path, 3)
    data = opened(tmp_path, test_fraction=1)
    assert splits(data) == [[], [], ["000.png", "001.png", "002.png"]]


def test_a_test_folder_is_the_test_split_where_all_images_would_be(tmp_path):
    for number, split in enumerate(("train", "train", "test")):
        save(tmp_path / split / f"{number}.png", number)
    data = opened(tmp_path, test_fraction=1)  # too few images to validate on do not matter
    assert splits(data) == [["train/0.png", "train/1.png"], [], ["test/2.png"]]
    (tmp_path / "test" / "2.png").write_text("no picture")
    with pytest.raises(UserError, match=r"2 readable images, none of them for the test split"):
        opened(tmp_path, test_fraction=1)


def test_the_order_is_that_of_the_names(tmp_path):
    fill(tmp_path, 40)
    for split in splits(opened(tmp_path)):
        assert split == sorted(split)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.001, 1.5, float("nan")])
def test_a_test_fraction_out_of_range_is_refused_by_name(tmp_path, fraction):
    fill(tmp_path, 2)
    with pytest.raises(UserError, match=r"^dataset.test_fraction=.*: must be a number above 0"):
        opened(tmp_path, test_fraction=fraction)


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path):
    missing = tmp_path / "nowhere"
    with pytest.raises(UserError, match=f"^dataset.path={missing}: no such folder"):
        opened(missing)
    (tmp_path / "file.png").touch()
    with pytest.raises(UserError, match=r"file.png: no such folder"):
        opened(tmp_path / "file.png")


def test_no_path_is_not_the_current_folder(tmp_path, monkeypatch):
    fill(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    assert len(opened(".").train)
    with pytest.raises(UserError, match=r"^dataset.path=: no such folder"):
        opened("")


def test_a_folder_without_images_is_refused_by_name(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(UserError, match=f"^dataset.path={tmp_path}: no JPEG, PNG or WebP images"):
        opened(tmp_path)


def test_a_folder_without_readable_images_is_refused_by_name(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=f"^dataset.path={tmp_path}: 0 readable images"):
        opened(tmp_path)


def test_too_few_images_for_two_splits_are_refused_with_what_to_do(tmp_path):
    fill(tmp_path, 1)
    with pytest.raises(UserError, match=r"1 readable images, none of them .* expected more images"):
        opened(tmp_path)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "photos", 20)
    assert len(opened("~/photos").train)


def test_linked_folders_are_followed_once(tmp_path):
    save(tmp_path / "elsewhere" / "a.png", 1)
    save(tmp_path / "photos" / "test" / "b.png", 2)
    save(tmp_path / "photos" / "val" / "c.png", 3)
    (tmp_path / "photos" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    data = opened(tmp_path / "photos")
    assert splits(data) == [["train/a.png"], ["val/c.png"], ["test/b.png"]]


def test_folders_that_link_to_each_other_are_visited_once_each(tmp_path):
    for i in range(12):
        save(tmp_path / f"{i:02d}" / "a.png", i)
    for i, j in itertools.permutations(range(12), 2):
        (tmp_path / f"{i:02d}" / f"to{j}").symlink_to(tmp_path / f"{j:02d}")
    (tmp_path / "0 first").symlink_to(tmp_path / "11")  # the folder itself is what counts
    assert every(opened(tmp_path)) == [f"{i:02d}/a.png" for i in range(12)]


def test_a_link_to_itself_refuses_no_folder(tmp_path):
    fill(tmp_path, 20)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert len(every(opened(tmp_path))) == 20


def test_folders_may_be_as_deep_as_the_system_lets_them(tmp_path, monkeypatch):
    fill(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    save(Path("deep.png"), 100)
    os.chdir(tmp_path)
    assert f"{'d/' * 1200}deep.png" in every(opened(tmp_path))
    assert sum(1 for _ in files_below(tmp_path)) == 21
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # shutil and pytest would recurse


def test_a_file_removed_after_opening_is_named(tmp_path):
    save(tmp_path / "train" / "a.png", 1)
    save(tmp_path / "test" / "b.png", 2)
    save(tmp_path / "val" / "c.png", 3)
    data = opened(tmp_path)
    gone = tmp_path / "train" / "a.png"
    gone.unlink()
    with pytest.raises(UserError, match=f"^{gone}: could be read at the start and cannot now"):
        decode(data.train, [0])
    with pytest.raises(UserError, match=f"^{gone}: could be read at the start and cannot now"):
        data.train.identity(0)


def test_a_replaced_file_has_another_identity(tmp_path):
    save(tmp_path / "train" / "a.png", 1)
    save(tmp_path / "test" / "b.png", 2)
    save(tmp_path / "val" / "c.png", 3)
    before = opened(tmp_path).train.identity(0)
    assert opened(tmp_path).train.identity(0) == before
    save(tmp_path / "train" / "a.png", 3, shape=(20, 20))
    assert opened(tmp_path).train.identity(0) != before


def test_names_that_are_no_utf_8_are_names_too(tmp_path):
    save(tmp_path / "train" / "a.png", 1)
    (tmp_path / "train" / "a.png").rename(tmp_path / "train" / "caf\udce9.png")
    save(tmp_path / "test" / "b.png", 2)
    save(tmp_path / "val" / "c.png", 3)
    data = opened(tmp_path)
    assert data.train[0].shape == (8, 8, 3)
    assert b"caf\xe9.png" in data.train.identity(0)


def test_with_a_short_side_held_out_images_are_centres_and_training_images_parts(tmp_path):
    train = save(tmp_path / "train" / "a.png", 1, (12, 20))
    test = save(tmp_path / "test" / "b.png", 2, (12, 20))
    validation = save(tmp_path / "val" / "c.png", 3, (12, 20))
    data = opened(tmp_path, resize=12)
    np.testing.assert_array_equal(data.test[0], test[2:10, 6:14])
    np.testing.assert_array_equal(data.validation[0], validation[2:10, 6:14])
    np.testing.assert_array_equal(data.train[0], train[2:10, 6:14])
    parts = [data.train.of_epoch(0, epoch)[0] for epoch in range(30)]
    every = [train[y : y + 8, x : x + 8].tobytes() for y in range(5) for x in range(13)]
    assert all(part.tobytes() in every for part in parts)
    assert len({part.tobytes() for part in parts}) > 10


def test_a_short_side_makes_other_images_and_none_leaves_them_as_they_were(tmp_path):
    fill(tmp_path, 20)
    plain, same, other = (opened(tmp_path, resize=resize) for resize in (None, 8, 10))
    identities = [data.test.identity(0) for data in (plain, same, other)]
    assert len(set(identities)) == 3
    name = names(plain.test)[0]
    assert identities[0] == f"{name} {(tmp_path / name).stat().st_size}".encode()
    assert names(plain.train) == names(other.train)


def test_a_jpeg_is_not_decoded_smaller_than_it_is_resized_to(tmp_path):
    rows = np.indices((64, 64)).sum(0) % 2 * 255  # a checkerboard: grey once decoded at a half
    for number, split in enumerate(("train", "val", "test")):
        (tmp_path / split).mkdir()
        pixels = np.repeat(rows[..., None], 3, -1).astype(np.uint8)
        pixels[0] = 10 * number  # no copies
        Image.fromarray(pixels).save(tmp_path / split / "a.jpg", quality=100)
    assert opened(tmp_path, resize=64).test[0].std() > 100
    assert opened(tmp_path).test[0].std() < 30


@pytest.mark.parametrize("resize", [7, 0, 10_000])
def test_a_short_side_below_the_image_size_is_refused_by_name(tmp_path, resize):
    fill(tmp_path, 20)
    with pytest.raises(UserError, match=rf"^dataset.resize={resize}: must be from image_size=8 to"):
        opened(tmp_path, resize=resize)


def test_a_file_removed_after_opening_is_named_by_random_crops_too(tmp_path):
    save(tmp_path / "train" / "a.png", 1)
    save(tmp_path / "test" / "b.png", 2)
    save(tmp_path / "val" / "c.png", 3)
    data = opened(tmp_path, resize=10)
    gone = tmp_path / "train" / "a.png"
    gone.unlink()
    with pytest.raises(UserError, match=f"^{gone}: could be read at the start and cannot now"):
        decode(data.train.of_epoch(0, 0), [0])
