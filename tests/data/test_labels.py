import os
import re
from pathlib import Path

import numpy as np
import pytest

from ctxenc.data import cifar10 as cifar10_module
from ctxenc.data.images import MemoryImages, decode, in_memory
from ctxenc.data.labels import Labels, labels_of
from ctxenc.data.photos import photos
from ctxenc.errors import UserError
from tests.data import cifar_archive, shades
from tests.data.test_folder import opened as opened_folder
from tests.data.test_folder import save
from tests.data.test_tfds_images import opened as opened_tfds

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("CTXENC_REAL_DATA", ROOT.parent / "shared" / "data")) / "tfds"
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    shades.prepare(folder)
    return folder


def levels(images):
    return decode(images, range(len(images)))[:, 0, 0, 0] % 100


@pytest.mark.parametrize("split", SPLITS)
def test_a_tfds_set_gives_each_image_its_own_label(tfds_folder, split):
    images = getattr(opened_tfds(tfds_folder), split)
    numbers, names = labels_of(images, "here")
    assert names == tuple(shades.LABELS)
    np.testing.assert_array_equal(numbers, levels(images) % 4)


@pytest.mark.parametrize("split", SPLITS)
def test_chosen_classes_are_numbered_in_the_datasets_order(tfds_folder, split):
    images = getattr(opened_tfds(tfds_folder, classes=["three", "one", "zero"]), split)
    numbers, names = labels_of(images, "here")
    assert names == ("zero", "one", "three")
    assert [names[number] for number in numbers] == [shades.LABELS[n % 4] for n in levels(images)]


def test_cifar10_has_its_ten_classes_and_cats_are_one(tmp_path):
    (tmp_path / cifar10_module.ARCHIVE).write_bytes(cifar_archive.archive())
    known = {
        image.tobytes(): label
        for labels, pixels in (*cifar_archive.TRAIN, *cifar_archive.TEST)
        for label, image in zip(labels, pixels, strict=True)
    }
    data = cifar10_module.cifar10(data_dir=str(tmp_path), classes=None, image_size=32)
    for split in SPLITS:
        images = getattr(data, split)
        numbers, names = labels_of(images, "here")
        assert names == cifar10_module.NAMES
        shown = decode(images, range(len(images)))
        assert numbers.tolist() == [known[image.tobytes()] for image in shown]
    cats = cifar10_module.cifar10(data_dir=str(tmp_path), classes=("cat",), image_size=32)
    numbers, names = labels_of(cats.test, "here")
    assert (numbers.tolist(), names) == ([0] * len(cats.test), ("cat",))


def test_labels_are_read_when_asked_for_and_kept_with_images_in_memory(tfds_folder, monkeypatch):
    read = []

    def numbers(self, positions):
        read.append(len(positions))
        return np.zeros(len(positions), int)

    pictures = opened_tfds(tfds_folder).validation.pictures
    monkeypatch.setattr(type(pictures), "_numbers", numbers)
    kept = in_memory(opened_tfds(tfds_folder).validation)
    assert isinstance(kept, MemoryImages)
    assert not read
    assert labels_of(kept, "here").numbers.tolist() == [0] * 4
    assert read == [4]


def test_random_crops_have_their_pictures_labels(tfds_folder):
    train = opened_tfds(tfds_folder, resize=6).train
    shown = train.of_epoch(0, 3)
    assert labels_of(shown, "here").numbers.tolist() == (levels(shown) % 4).tolist()


def test_a_folders_subfolders_are_classes_numbered_by_name_over_all_splits(tmp_path):
    there = ["train/dog/a", "train/cat/deep/b", "val/cat/c", "test/eel/d", "test/cat/e", "f"]
    for number, name in enumerate(there):
        save(tmp_path / f"{name}.png", number)
    data = opened_folder(tmp_path)
    found = {split: labels_of(getattr(data, split), "here") for split in SPLITS}
    assert {labels.names for labels in found.values()} == {("cat", "dog", "eel")}
    numbers = [labels.numbers.tolist() for labels in found.values()]
    assert numbers == [[0, 1], [0], [0, 2]]  # cat/deep is before dog
    assert data.train.pictures.names == ["train/cat/deep/b.png", "train/dog/a.png"]


def test_without_split_folders_the_first_level_is_the_class(tmp_path):
    for number in range(40):
        save(tmp_path / ("odd" if number % 2 else "even") / f"{number}.png", number)
    data = opened_folder(tmp_path)
    for images in (data.train, data.validation, data.test):
        numbers, names = labels_of(images, "here")
        assert [names[number] for number in numbers] == [
            name.split("/")[0] for name in images.pictures.names
        ]
    assert names == ("even", "odd")


def test_an_image_outside_every_class_is_named(tmp_path):
    for number in range(20):
        save(tmp_path / "some" / f"{number}.png", number)
        save(tmp_path / f"{number}.png", 100 + number)
    data = opened_folder(tmp_path)
    with pytest.raises(UserError, match=r"\.png: in no class's folder; expected one subfolder a"):
        labels_of(data.train, "here")
    assert len(data.train)  # who does not ask is not told


def without_labels(tmp_path):
    for number in range(20):
        save(tmp_path / f"{number}.png", number)
    return opened_folder(tmp_path).train


@pytest.mark.parametrize(
    "images",
    [
        lambda tmp_path: photos(image_size=16).train,
        lambda tmp_path: MemoryImages(np.zeros((3, 4, 4, 3), np.uint8)),
        without_labels,
    ],
    ids=["photos", "arrays", "folder"],
)
def test_a_split_without_labels_is_refused_in_a_line(tmp_path, images):
    with pytest.raises(UserError, match=r"^dataset=this: its images have no labels; ") as raised:
        labels_of(images(tmp_path), "dataset=this")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ([0, 1], "2 labels of 3 images"),
        ([0, -1, 2], "2 of 3 images have no class (image 1 the label -1); expected numbers from 0"),
    ],
)
def test_labels_that_are_not_those_of_the_images_are_refused(numbers, problem):
    own = Labels(np.array(numbers), ("a", "b"))
    images = MemoryImages(np.zeros((3, 4, 4, 3), np.uint8), labels=lambda: own)
    with pytest.raises(UserError, match=f"^here: {re.escape(problem)}"):
        labels_of(images, "here")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no prepared CIFAR-10 in {REAL}")
def test_the_real_cifar10():
    data = cifar10_module.cifar10(data_dir=str(REAL), classes=None, image_size=32)
    counts = [np.bincount(labels_of(getattr(data, split), "here").numbers) for split in SPLITS]
    np.testing.assert_array_equal(counts[0] + counts[1], [5000] * 10)
    np.testing.assert_array_equal(counts[2], [1000] * 10)
    cats = cifar10_module.cifar10(data_dir=str(REAL), classes=("cat",), image_size=32)
    chosen = np.flatnonzero(
        labels_of(data.test, "here").numbers == cifar10_module.NAMES.index("cat")
    )
    assert cats.test.pictures.chosen == chosen.tolist()
