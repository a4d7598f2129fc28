import json
import logging

import numpy as np
import pytest

from ctxenc.data.cache import for_the_next_job, recall, remember
from ctxenc.data.images import MemoryImages


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ctxenc" / "remembered"


def test_what_is_remembered_is_recalled_and_the_last_word_counts(cache):
    assert recall("colour") is None
    for value in ([1.5, -2.0], {"caf\udce9.png": [1, 2]}):
        remember("colour", value)
        assert recall("colour") == value
    assert recall("another") is None
    assert [file.name for file in cache.iterdir()] == ["colour.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_as_good_as_none(cache, content):
    cache.mkdir(parents=True)
    (cache / "colour.json").write_bytes(content)
    assert recall("colour") is None
    remember("colour", 1)
    assert recall("colour") == 1


def test_a_folder_that_takes_no_files_costs_nothing_but_time(cache, caplog):
    cache.parent.parent.mkdir(parents=True)
    cache.parent.touch()  # a file where the folder should be
    with caplog.at_level(logging.WARNING):
        remember("colour", 1)
    assert recall("colour") is None
    assert not caplog.records


def test_what_cannot_be_written_leaves_the_old_value_and_no_part(cache):
    remember("colour", 1)
    with pytest.raises(TypeError):
        remember("colour", [1, object()])
    assert json.loads((cache / "colour.json").read_text()) == 1
    assert len(list(cache.iterdir())) == 1


def test_what_is_found_of_images_in_memory_is_found_once_and_of_others_each_time():
    asked = []

    @for_the_next_job
    def brightest(images, above=0):
        asked.append((images, above))
        return above + max(images[index].max() for index in range(len(images)))

    def held(level):
        return MemoryImages(np.full((2, 1, 1, 3), level, np.uint8))

    first, equal, other = held(5), held(5), held(7)
    found = [brightest(first), brightest(first), brightest(equal), brightest(other)]
    assert found == [5, 5, 5, 7]
    assert [images for images, _ in asked] == [first, equal, other]
    assert brightest(first, above=1) == 6
    assert len(asked) == 4

    changing = [np.zeros(1)]  # a folder's files may change between two jobs
    assert brightest(changing) == 0
    changing[0] += 1
    assert brightest(changing) == 1
