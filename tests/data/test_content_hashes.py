import hashlib
import logging
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctxenc.data import cache, folder, image_files


def save(file, number):
    pixels = np.random.default_rng(number).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def _later(monkeypatch):
    monkeypatch.setattr(folder, "RECENT", -60.0)  # as if a minute had passed since


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def read(monkeypatch):
    """The names of the files that are decoded."""
    found = []
    decode = image_files.read

    def watched(file, **options):
        found.append(Path(file).name)
        return decode(file, **options)

    monkeypatch.setattr(image_files, "read", watched)
    return found


def found(root):
    return folder.content_hashes(root, sorted(file.name for file in root.iterdir()))


def test_each_file_is_read_once_and_its_hash_kept(root, read):
    expected = {f"{number}.png": save(root / f"{number}.png", number) for number in range(3)}
    assert found(root) == expected
    assert sorted(read) == list(expected)
    assert found(root) == expected
    assert len(read) == 3


def test_only_new_and_changed_files_are_read_again(root, read):
    expected = {f"{number}.png": save(root / f"{number}.png", number) for number in range(4)}
    found(root)
    read.clear()
    (root / "0.png").unlink()
    expected.pop("0.png")
    expected["1.png"] = save(root / "1.png", 11)
    expected["4.png"] = save(root / "4.png", 4)
    assert found(root) == expected
    assert sorted(read) == ["1.png", "4.png"]
    kept = cache.load(f"content hashes of {root.resolve()}")
    assert sorted(kept.values()) == sorted(expected.values())  # and of no file that has gone


def test_a_change_that_keeps_size_and_time_is_seen(root):
    file = root / "a.png"
    save(file, 1)
    found(root)
    before = file.stat()
    changed = bytearray(file.read_bytes())
    changed[-30] ^= 1  # within the pixels: the picture is damaged
    time.sleep(0.05)  # more than a tick of the file system's clock
    file.write_bytes(changed)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert found(root) == {}


def test_the_hash_of_a_file_that_has_just_changed_is_not_kept_yet(root, read, monkeypatch):
    monkeypatch.setattr(folder, "RECENT", 60.0)
    save(root / "a.png", 1)
    for _ in range(2):
        found(root)
    assert read == ["a.png", "a.png"]


def test_files_that_cannot_be_read_are_named_every_time(root, caplog):
    expected = {"good.png": save(root / "good.png", 1)}
    (root / "bad.png").write_text("no picture")
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert found(root) == expected
        assert f"{root / 'bad.png'}: skipped: " in caplog.text
        assert f"{root}: 1 of 2 images skipped" in caplog.text


def test_a_pipe_is_skipped_and_not_waited_for(root, caplog):
    os.mkfifo(root.parent / "pipe")
    (root / "a.png").symlink_to(root.parent / "pipe")
    assert found(root) == {}
    assert "a.png: skipped: not a regular file" in caplog.text


def test_without_a_cache_each_file_is_read_every_time(root, read, cache_home):
    cache_home.touch()  # a file where the folder should be
    expected = {"a.png": save(root / "a.png", 1)}
    assert found(root) == found(root) == expected
    assert read == ["a.png", "a.png"]


def test_folders_do_not_share_hashes(root, tmp_path):
    (tmp_path / "other").mkdir()
    here, there = save(root / "a.png", 1), save(tmp_path / "other" / "a.png", 2)
    assert (found(root), found(tmp_path / "other")) == ({"a.png": here}, {"a.png": there})
    assert found(root) == {"a.png": here}
