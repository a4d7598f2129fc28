import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ctxenc.data import photos as module
from ctxenc.data.images import decode
from ctxenc.data.photos import photos
from ctxenc.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where both sizes are prepared once for these tests."""
    folder = tmp_path_factory.mktemp("photos")
    for size in (16, 32):
        opened(folder, size)
    return folder


def opened(folder, size):
    return photos(data_dir=str(folder), image_size=size)


def source(folder, size, split):
    builder = tfds.core.read_only_builder.builder_from_files(
        f"photos/crops{size}", data_dir=str(folder)
    )
    return builder.as_data_source(split)


def every(images):
    return decode(images, range(len(images)))


@pytest.mark.parametrize("size", [16, 32])
def test_crops_have_the_size_and_number_promised(folder, size):
    data = opened(folder, size)
    assert data.name == "photos"
    assert every(data.train).shape == (module.COUNTS["train"], size, size, 3)
    assert every(data.test).shape == (module.COUNTS["test"], size, size, 3)


@pytest.mark.parametrize("size", [16, 32])
def test_no_photograph_is_in_both_splits_and_all_are_used(folder, size):
    train, test = (
        {example["photograph"].decode() for example in source(folder, size, split)}
        for split in ("train", "test")
    )
    assert not train & test
    assert train == set(module.TRAIN)
    assert test == set(module.TEST)


def test_no_crop_is_in_both_splits(folder):
    data = opened(folder, 32)
    assert not {c.tobytes() for c in every(data.train)} & {c.tobytes() for c in every(data.test)}


@pytest.mark.parametrize("size", [16, 32])
def test_crops_show_something_in_colour_and_no_two_are_the_same(folder, size):
    for images in (opened(folder, size).train, opened(folder, size).test):
        crops = every(images)
        assert crops.std(axis=(1, 2)).mean(axis=1).min() >= 20
        assert len({crop.tobytes() for crop in crops}) > 0.98 * len(crops)
        assert (crops.max(axis=-1) - crops.min(axis=-1)).mean() > 10


def test_a_large_crop_is_a_part_of_its_photograph_at_some_scale():
    image = module.photograph("chelsea.png")
    for crop in module.crops(image, 256, 8):
        assert crop.shape == (256, 256, 3)
    whole = module.crops(image, 300, 1)[0]  # as high as the photograph: it is never enlarged
    columns = range(image.shape[1] - 300 + 1)
    assert any(np.array_equal(whole, image[:, left : left + 300]) for left in columns)


def test_prepared_anew_it_is_the_same_byte_for_byte(folder, tmp_path):
    here, there = opened(folder, 16), opened(tmp_path, 16)
    np.testing.assert_array_equal(every(here.train), every(there.train))
    np.testing.assert_array_equal(every(here.test), every(there.test))
    assert [here.train.identity(i) for i in (0, 9)] == [there.train.identity(i) for i in (0, 9)]


def test_it_is_prepared_once_and_then_only_read(folder, monkeypatch):
    def refuse(*args):
        raise AssertionError("written again")

    monkeypatch.setattr(module, "crops", refuse)
    monkeypatch.setattr(module.filelock, "FileLock", refuse)  # so it may be read-only
    assert len(opened(folder, 16).train) == module.COUNTS["train"]


@pytest.mark.parametrize("size", [15, 257, 0])
def test_an_image_size_out_of_range_is_refused_by_name_and_nothing_is_written(tmp_path, size):
    with pytest.raises(UserError, match=rf"^image_size={size}: dataset=photos takes 16 to 256"):
        opened(tmp_path / "new", size)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_files_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^dataset.data_dir=.*file: cannot prepare the crops"):
        opened(tmp_path / "file", 16)


PREPARE = """
import sys
from ctxenc.data.images import decode
from ctxenc.data.photos import photos
data = photos(data_dir=sys.argv[1], image_size=16)
print(len(data.train), int(decode(data.train, range(len(data.train))).sum()))
"""


def test_two_processes_may_prepare_the_same_folder_at_once(folder, tmp_path):
    command = [sys.executable, "-c", PREPARE, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    total = int(every(opened(folder, 16).train).sum())
    expected = f"{module.COUNTS['train']} {total}"
    assert [output.strip() for output, _ in ended] == [expected] * 2  # and no other line
