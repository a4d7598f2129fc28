import hashlib
import itertools
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ctxenc.data.folder import folder
from ctxenc.data.images import decode
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


def test_all_kinds_and_sizes_below_a_folder_become_squares_of_one_size(tmp_path):
    shapes = [(8, 8), (40, 9), (9, 40), (3, 5), (64, 64)]
    kinds = ["jpg", "JPEG", "png", "webp"]
    for number, (shape, kind) in enumerate(itertools.product(shapes, kinds)):
        save(tmp_path / "some" / "where" / f"{number}.{kind}", number, shape)
    data = opened(tmp_path)
    assert len(data.train) + len(data.test) == 20
    for images in (data.train, data.test):
        assert images.image_size == 8
        assert decode(images, range(len(images))).shape == (len(images), 8, 8, 3)


def test_a_picture_of_the_size_keeps_its_pixels(tmp_path):
    train = save(tmp_path / "train" / "a.png", 1, (8, 8))
    test = save(tmp_path / "test" / "b.png", 2, (8, 8))
    data = opened(tmp_path)
    np.testing.assert_array_equal(data.train[0], train)
    np.testing.assert_array_equal(data.test[0], test)
    assert data.name == tmp_path.name


def test_other_files_are_ignored_without_a_message(tmp_path, caplog):
    fill(tmp_path, 20)
    for name in ("notes.txt", "movie.gif", "png", "labels.json"):
        (tmp_path / name).write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    data = opened(tmp_path)
    assert len(data.train) + len(data.test) == 20
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
    assert len(data.train) + len(data.test) == 20
    for name in ("truncated.jpg", "text.jpg", "empty.webp", "broken link.png"):
        assert f"{tmp_path / name}: skipped: " in caplog.text
        assert name not in names(data.train) + names(data.test)
    assert f"{tmp_path}: 4 of 24 images skipped" in caplog.text


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("train", "val"), ("train", "validation"), ("Train", "Test")],
)
def test_subfolders_are_the_splits(tmp_path, train, test):
    for number in range(3):
        save(tmp_path / train / "deep" / f"{number}.png", number)
        save(tmp_path / test / f"{number}.png", 10 + number)
    data = opened(tmp_path)
    assert names(data.train) == [f"{train}/deep/{number}.png" for number in range(3)]
    assert names(data.test) == [f"{test}/{number}.png" for number in range(3)]


def test_with_test_and_val_the_test_folder_is_the_test_split_and_val_is_unused(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        save(tmp_path / split / "a.png", number)
    data = opened(tmp_path)
    assert (names(data.train), names(data.test)) == (["train/a.png"], ["test/a.png"])


def test_images_outside_the_splits_are_counted_in_the_log(tmp_path, caplog):
    for number, name in enumerate(("train/a.png", "test/a.png", "a.png", "more/b.png")):
        save(tmp_path / name, number)
    with caplog.at_level(logging.INFO):
        opened(tmp_path)
    assert f"{tmp_path}: 2 images outside train/ and test/ are not used" in caplog.text


def test_a_test_folder_without_a_readable_image_is_no_reason_to_test_on_training_images(tmp_path):
    for number in range(30):
        save(tmp_path / "train" / f"{number}.png", number)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"30 readable images, none of them for the test split"):
        opened(tmp_path)


def test_a_training_copy_of_a_test_image_is_left_out(tmp_path, caplog):
    save(tmp_path / "train" / "own.png", 1)
    for name in ("train/copy.png", "train/deep/another.png", "test/original.png"):
        save(tmp_path / name, 2)
    with caplog.at_level(logging.WARNING):
        data = opened(tmp_path)
    assert names(data.train) == ["train/own.png"]
    assert names(data.test) == ["test/original.png"]
    assert "2 training images are copies of test images: left out" in caplog.text


@given(
    pictures=st.lists(st.integers(0, 12), min_size=2, max_size=20),
    fraction=st.sampled_from([0.01, 0.3, 0.5, 0.99]),
)
@settings(max_examples=25, deadline=None)
def test_no_picture_is_in_both_splits_and_none_is_lost(pictures, fraction):
    with tempfile.TemporaryDirectory() as path:
        root = Path(path)
        for position, number in enumerate(pictures):
            save(root / f"{position}.png", number)
        try:
            data = opened(root, test_fraction=fraction)
        except UserError as error:
            assert "none of them for the" in str(error)  # noqa: PT017
            return
        chosen = [set(names(images)) for images in (data.train, data.test)]
        contents = [
            {hashlib.sha256((root / n).read_bytes()).digest() for n in split} for split in chosen
        ]
        assert not contents[0] & contents[1]
        assert chosen[0] | chosen[1] == {f"{p}.png" for p in range(len(pictures))}


def test_the_split_depends_on_the_content_of_each_file_alone(tmp_path):
    fill(tmp_path / "here", 60)
    for number in range(60):  # the same pictures, other names
        save(tmp_path / "there" / "deep" / f"x{60 - number}.png", number)
    fill(tmp_path / "fewer", 30)
    here, there, fewer = (opened(tmp_path / name) for name in ("here", "there", "fewer"))
    again = opened(tmp_path / "here")
    assert (names(again.train), names(again.test)) == (names(here.train), names(here.test))
    renamed = {f"{60 - int(Path(name).stem[1:]):03d}.png" for name in names(there.test)}
    assert renamed == set(names(here.test))
    assert set(names(fewer.test)) == {n for n in names(here.test) if n < "030"}


def test_the_share_held_out_is_about_the_one_asked_for(tmp_path):
    fill(tmp_path, 300)
    for fraction in (0.1, 0.5):
        held_out = len(opened(tmp_path, test_fraction=fraction).test) / 300
        assert held_out == pytest.approx(fraction, abs=0.1)


def test_the_order_is_that_of_the_names(tmp_path):
    fill(tmp_path, 40)
    data = opened(tmp_path)
    assert names(data.train) == sorted(names(data.train))
    assert names(data.test) == sorted(names(data.test))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_test_fraction_out_of_range_is_refused_by_name(tmp_path, fraction):
    fill(tmp_path, 2)
    with pytest.raises(UserError, match=r"^dataset.test_fraction=.*: must be a number between"):
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
    (tmp_path / "photos" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    data = opened(tmp_path / "photos")
    assert names(data.train) == ["train/a.png"]
    assert names(data.test) == ["test/b.png"]


def test_a_file_removed_after_opening_is_named(tmp_path):
    save(tmp_path / "train" / "a.png", 1)
    save(tmp_path / "test" / "b.png", 2)
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
    before = opened(tmp_path).train.identity(0)
    assert opened(tmp_path).train.identity(0) == before
    save(tmp_path / "train" / "a.png", 3, shape=(20, 20))
    assert opened(tmp_path).train.identity(0) != before


def test_names_that_are_no_utf_8_are_names_too(tmp_path):
    save(tmp_path / "train" / "a.png", 1)
    (tmp_path / "train" / "a.png").rename(tmp_path / "train" / "caf\udce9.png")
    save(tmp_path / "test" / "b.png", 2)
    data = opened(tmp_path)
    assert data.train[0].shape == (8, 8, 3)
    assert b"caf\xe9.png" in data.train.identity(0)


def test_with_a_short_side_test_images_are_centres_and_training_images_parts(tmp_path):
    train = save(tmp_path / "train" / "a.png", 1, (12, 20))
    test = save(tmp_path / "test" / "b.png", 2, (12, 20))
    data = opened(tmp_path, resize=12)
    np.testing.assert_array_equal(data.test[0], test[2:10, 6:14])
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
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        pixels = np.repeat(rows[..., None], 3, -1).astype(np.uint8)
        pixels[0] = 10 if split == "test" else 20  # no copies
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
    data = opened(tmp_path, resize=10)
    gone = tmp_path / "train" / "a.png"
    gone.unlink()
    with pytest.raises(UserError, match=f"^{gone}: could be read at the start and cannot now"):
        decode(data.train.of_epoch(0, 0), [0])
