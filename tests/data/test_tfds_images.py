import dataclasses
import io
import itertools
import json
import shutil
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds
from omegaconf import OmegaConf
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from ctxenc.config import instantiate
from ctxenc.config.compose import compose
from ctxenc.data import image_files
from ctxenc.data import tfds_images as module
from ctxenc.data.images import Photographs, RandomCrops, decode
from ctxenc.data.tfds_images import tfds_images
from ctxenc.errors import UserError
from tests.data.shades import COUNTS, LABELS, png, prepare, value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    prepare(folder)
    return folder


def opened(folder, **changes):
    options = {
        "name": "shades/first",
        "train_split": "train",
        "test_split": "test",
        "image_key": "image",
        "classes": None,
        "image_size": 4,
    }
    options |= changes
    if options["classes"] is not None:
        options["classes"] = tuple(options["classes"])  # as it comes out of YAML
    return tfds_images(data_dir=str(folder), **options)


def levels(*splits):
    shown = [decode(images, range(len(images)))[:, 0, 0, 0].tolist() for images in splits]
    return sorted(itertools.chain(*shown))


def all_of(split):
    return [value(split, index) for index in range(COUNTS[split])]


def assert_apart(data):
    """The three splits share no image."""
    shown = levels(data.train, data.validation, data.test)
    assert len(set(shown)) == len(shown)


def test_a_prepared_dataset_is_read_back(folder):
    data = opened(folder)
    assert data.name == "shades"
    assert levels(data.train, data.validation) == all_of("train")
    assert levels(data.test) == all_of("test")
    pixels = decode(data.train, range(36))
    assert pixels.shape == (36, 4, 4, 3)
    assert (pixels[..., 1:] == [7, 200]).all()


def test_without_a_validation_split_a_tenth_of_the_training_split_is_held_out(folder):
    data = opened(folder)
    assert [len(of) for of in (data.train, data.validation, data.test)] == [36, 4, 10]
    assert_apart(data)
    again = opened(folder, name="shades/second")
    assert levels(again.validation) == levels(data.validation)


def test_the_same_images_are_held_out_whatever_classes_are_chosen(folder):
    every = opened(folder)
    held_out = levels(every.validation)
    there = {level % 4 for level in held_out}
    for label in there:
        one = opened(folder, classes=[LABELS[label]])
        assert levels(one.validation) == [level for level in held_out if level % 4 == label]
        trained_on = [level for level in levels(every.train) if level % 4 == label]
        assert levels(one.train) == trained_on
    few = opened(folder, classes=[name for label, name in enumerate(LABELS) if label in there])
    assert levels(few.validation) == held_out


def test_a_validation_split_may_be_named(folder):
    data = opened(folder, train_split="train[:60%]", validation_split="train[60%:]")
    assert [len(of) for of in (data.train, data.validation, data.test)] == [24, 16, 10]
    assert levels(data.train, data.validation) == all_of("train")
    assert_apart(data)
    assert data.validation.identity(0).startswith(b"shades/first/1.2.0 train[60%:] ")


@pytest.mark.parametrize("name", ["shades/first:1.2.0", "shades/first:1.*.*"])
def test_a_version_may_be_named(folder, name):
    data = opened(folder, name=name)
    assert levels(data.train, data.validation) == all_of("train")


def test_without_a_name_of_a_config_one_is_taken(folder):
    data = opened(folder, name="shades")
    assert levels(data.train, data.validation) == all_of("train")


@pytest.mark.parametrize("key", ["grey", "deep"])
def test_grey_and_16_bit_images_become_rgb(folder, key):
    data = opened(folder, image_key=key)
    pixels = decode(data.train, range(36))
    assert pixels.shape == (36, 4, 4, 3)
    assert (pixels == pixels[:, :1, :1, :1]).all()
    assert levels(data.train, data.validation) == all_of("train")


def test_slices_of_one_split_share_no_image(folder):
    data = opened(folder, train_split="train[:50%]", test_split="train[50%:]")
    assert [len(of) for of in (data.train, data.validation, data.test)] == [18, 2, 20]
    assert levels(data.train, data.validation, data.test) == all_of("train")
    joined = opened(folder, train_split="train[10:]+test[:3]", test_split="train[:10]+test[3:]")
    every = levels(joined.train, joined.validation, joined.test)
    assert every == all_of("train") + all_of("test")


SHARED = [
    ("train", "train"),
    ("train[:60%]", "train[50%:]"),
    ("train", "train[39:]"),  # in the last of three files
    ("train[20:]", "train[20:21]"),
    ("train+test", "test"),
    ("train", "test+train[20:21]"),
]


@pytest.mark.parametrize(("train", "test"), SHARED)
def test_splits_that_share_an_image_are_refused(folder, train, test):
    with pytest.raises(UserError, match=r"^dataset.test_split=.*: shares images with") as raised:
        opened(folder, train_split=train, test_split=test)
    assert f"dataset.train_split={train};" in str(raised.value)


@pytest.mark.parametrize(("train", "validation"), SHARED[:4])
def test_so_is_a_validation_split_that_shares_one_with_the_training_split(
    folder, train, validation
):
    with pytest.raises(UserError, match=r"^dataset.validation_split=.*: shares images") as raised:
        opened(folder, train_split=train, validation_split=validation)
    assert f"dataset.train_split={train};" in str(raised.value)


@pytest.mark.parametrize("validation", ["test", "test[9:]", "train[30:]+test[:1]"])
def test_so_is_one_that_shares_one_with_the_test_split(folder, validation):
    with pytest.raises(UserError, match=r"^dataset.test_split=test: shares images with") as raised:
        opened(folder, train_split="train[:30]", validation_split=validation)
    assert f"dataset.validation_split={validation};" in str(raised.value)


@pytest.mark.parametrize("split", ["nope", "train[", "", "train[:0%]", "train[90%:10%]"])
@pytest.mark.parametrize("role", ["train", "validation", "test"])
def test_an_unknown_or_empty_split_is_refused_with_what_there_is(folder, role, split):
    with pytest.raises(UserError, match=rf"^dataset.{role}_split=") as raised:
        opened(folder, **{f"{role}_split": split})
    assert "train (40)" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["picture", "label"])
def test_a_key_that_holds_no_image_is_refused_with_those_that_do(folder, key):
    with pytest.raises(UserError, match=rf"^dataset.image_key={key}: .*deep, grey, image"):
        opened(folder, image_key=key)


def test_classes_are_kept_by_name(folder):
    data = opened(folder, classes=["one", "three"])
    assert levels(data.train, data.validation) == [v for v in all_of("train") if v % 4 in (1, 3)]
    assert levels(data.test) == [value("test", index) for index in (1, 3, 5, 7, 9)]
    half = opened(folder, classes=["two"], train_split="train[20:]")
    assert set(levels(half.train)) < {v for v in all_of("train") if v % 4 == 2}


def test_labels_may_be_read_in_several_blocks(folder, monkeypatch):
    at_once = opened(folder, classes=["one"])
    monkeypatch.setattr(module, "BLOCK", 7)
    assert list(opened(folder, classes=["one"]).train.pictures.chosen) == list(
        at_once.train.pictures.chosen
    )


def test_labels_are_read_once(folder, monkeypatch):
    pictures, read = opened(folder).train.pictures, []
    numbers = module.Records._numbers

    def counted(self, positions):
        read.append(positions)
        return numbers(self, positions)

    monkeypatch.setattr(module.Records, "_numbers", counted)
    assert pictures.labels() is pictures.labels()
    assert len(read) == 1


def test_images_of_another_key_are_other_images(folder):
    pictures = opened(folder).train.pictures
    assert pictures.name(0).startswith(b"shades/first/1.2.0 train ")
    assert opened(folder, image_key="grey").train.pictures.name(0) != pictures.name(0)


@pytest.mark.parametrize("classes", [["four"], ["one", "four"], []])
def test_unknown_classes_are_refused_with_the_known(folder, classes):
    with pytest.raises(UserError, match=r"^dataset.classes=\[.*\]: .* zero, one, two, three"):
        opened(folder, classes=classes)


def test_a_class_without_an_image_is_refused(folder):
    there = levels(opened(folder, test_split="test[:1]").test)[0] % 4
    data = opened(folder, classes=[LABELS[there - 1]], test_split="test[:1]")
    assert levels(data.train)  # only those that ask for the split are told
    for _ in range(2):
        with pytest.raises(UserError, match=r"^dataset.test_split=test\[:1\]: .* dataset.classes"):
            len(data.test)


def test_a_split_too_small_to_hold_images_out_is_refused(folder):
    data = opened(folder, train_split="train[:4]")
    assert len(data.train) == 4
    with pytest.raises(UserError, match=r"^dataset.validation_split=null: .* with images in it$"):
        data.validation[0]


@pytest.mark.parametrize(
    "name",
    ["mnist", "nosuchthing", "shades/third", "shades/first:9.9.9", "not a name!", "../shades"],
)
def test_a_dataset_that_is_not_prepared_is_refused_with_what_to_do(folder, name):
    with pytest.raises(UserError) as raised:
        opened(folder, name=name)
    message = str(raised.value)
    assert message.startswith(
        f"dataset.name={name}: not prepared in {folder}; set dataset.data_dir"
    )
    assert f"tfds build {name} --file_format=array_record" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["", "???"])
def test_no_name_is_refused(folder, name):
    with pytest.raises(UserError, match=r"^dataset.name: expected the name of a TFDS dataset"):
        opened(folder, name=name)


def test_a_dataset_prepared_as_tfrecord_is_refused_with_what_to_do(folder, tmp_path):
    shutil.copytree(folder / "shades", tmp_path / "shades")
    file = tmp_path / "shades" / "first" / "1.2.0" / "dataset_info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "fileFormat": "tfrecord"}))
    with pytest.raises(UserError, match=r"prepared as tfrecord; expected array_record") as raised:
        opened(tmp_path)
    assert "--file_format=array_record" in str(raised.value)


def test_identities_tell_images_datasets_and_splits_apart(folder):
    data, again, second = opened(folder), opened(folder), opened(folder, name="shades/second")
    first = [data.train.identity(index) for index in range(36)]
    others = [data.validation.identity(0), data.test.identity(0), second.train.identity(0)]
    assert len({*first, *others}) == 39
    assert first == [again.train.identity(index) for index in range(36)]
    assert b"shades/first/1.2.0" in first[0]


def test_a_dataset_that_is_moved_is_the_same(folder, tmp_path):
    shutil.copytree(folder / "shades", tmp_path / "shades")
    here, there = opened(folder), opened(tmp_path)
    assert here.train.identity(5) == there.train.identity(5)
    np.testing.assert_array_equal(here.train[5], there.train[5])


def test_a_home_folder_is_found(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(opened(f"~/{folder.name}").train) == 36


def test_classes_of_a_dataset_without_labels_are_refused(tmp_path):
    class Plain(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """No labels."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(4, 4, 3), encoding_format="png")
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict({"image": image})
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples() for split in ("train", "test")}

        def _generate_examples(self):
            yield 0, {"image": png(np.zeros((4, 4, 3), np.uint8))}

    Plain(data_dir=str(tmp_path), file_format="array_record").download_and_prepare()
    assert len(opened(tmp_path, name="plain").train) == 1
    with pytest.raises(UserError, match=r"^dataset.classes=\[cat\]: plain has no labels; must be"):
        opened(tmp_path, name="plain", classes=["cat"])


def test_with_a_short_side_test_images_are_centres_and_training_images_parts(folder):
    plain, data = opened(folder), opened(folder, resize=6)
    kinds = [type(images) for images in (data.train, data.validation, data.test)]
    assert kinds == [RandomCrops, Photographs, Photographs]
    assert levels(data.test) == all_of("test")
    assert levels(data.train, data.validation) == all_of("train")
    assert levels(data.train.of_epoch(0, 3)) == levels(plain.train)
    assert decode(data.test, [0]).shape == (1, 4, 4, 3)
    assert data.test.identity(0) == plain.test.identity(0) + b" resize=6"
    with pytest.raises(UserError, match=r"^dataset.resize=3: must be from image_size=4 to 4096"):
        opened(folder, resize=3)


def test_a_damaged_record_is_one_line_that_names_it(folder):
    images = opened(folder).test
    whole = [images.pictures.source[index] for index in range(len(images))]
    for damaged in (b"", whole[3][:40], whole[3].replace(b"PNG", b"GNP"), b"\xff" * 30):
        broken = with_records(images, [*whole[:3], damaged, *whole[4:]])
        with pytest.raises(UserError, match=r"^shades/first/1.2.0 test: its image 3 cannot be r"):
            broken[3]
        np.testing.assert_array_equal(broken[4], images[4])


def with_records(images, records):
    return dataclasses.replace(
        images, pictures=dataclasses.replace(images.pictures, source=records)
    )


def bomb(side):
    """A PNG that says that it is so large, and holds next to nothing."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + content


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(folder):
    images = opened(folder).test
    record = tf_example_pb2.Example()
    record.features.feature["image"].bytes_list.value.append(bomb(20_000))
    broken = with_records(images, [record.SerializeToString()])
    with pytest.raises(
        UserError, match=r"its image 0 cannot be read: .*MAX_IMAGE_PIXELS"
    ) as raised:
        broken[0]
    assert "\n" not in str(raised.value)


def test_threads_together_decode_no_more_pixels_than_one_picture_may_have(folder, monkeypatch):
    images = opened(folder).test
    feature = type(images.pictures.feature)
    decode, now, most, lock = feature.decode_example_np, [], [], threading.Lock()

    def watched(self, encoded):
        with lock:
            now.append(image_files.pixels(encoded))
            most.append(sum(now))
        time.sleep(0.01)
        with lock:
            now.pop()
        return decode(self, encoded)

    monkeypatch.setattr(feature, "decode_example_np", watched)
    one = int(np.prod(images.pictures.read(0, 1).shape[:2]))
    monkeypatch.setattr(image_files, "AT_ONCE", 2 * one)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: images[index], range(8)))
    assert max(most) == 2 * one


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_a_pictures_pixels_are_counted_without_decoding_it(kind):
    Image.new("RGB", (7, 300)).save(encoded := io.BytesIO(), kind)
    assert image_files.pixels(encoded.getvalue()) == 7 * 300


WELL_KNOWN = {  # name: configuration, version, and splits with their first level
    "imagenette": ("full-size-v2", "1.0.0", {"train": 0, "validation": 100}),
    "places365_small": (None, "2.1.0", {"train": 0, "test": 50, "validation": 100}),
    "imagenet2012": (None, "5.1.0", {"train": 0, "validation": 100}),
}


MANY = 10  # images a split


@pytest.fixture(scope="module", params=WELL_KNOWN)
def well_known(request, tmp_path_factory):
    """(name, folder) of a few images under a dataset's own name, layout and splits."""
    config, version, splits = WELL_KNOWN[request.param]

    class Few(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """The test split has no labels, which TFDS writes as -1."""

        name = request.param
        VERSION = tfds.core.Version(version)
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=LABELS),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split):
            for index in range(MANY):
                pixels = np.full((9, 12, 3), splits[split] + index, np.uint8)
                label = -1 if split == "test" else index % 4
                yield index, {"image": png(pixels), "label": label}

    folder = tmp_path_factory.mktemp(request.param)
    Few(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return request.param, folder


def test_a_well_known_dataset_is_opened_by_its_choice_alone(well_known):
    name, folder = well_known
    node = compose([f"dataset={name}", f"dataset.data_dir={folder}"]).dataset
    data = instantiate.target(OmegaConf.to_container(node), "dataset")(image_size=4)
    assert data.name == name
    assert levels(data.train, data.validation) == list(range(MANY))
    assert [len(data.train), len(data.validation)] == [9, 1]  # validation is what others report
    assert levels(data.test) == list(range(100, 100 + MANY))
    few = opened(folder, name=name, classes=["one", "two"], test_split="validation")
    assert {*levels(few.train)} < {1, 2, 5, 6, 9}
    assert levels(few.test) == [101, 102, 105, 106, 109]


def test_a_validation_split_of_its_own_is_validated_on_unless_it_is_the_test_split(well_known):
    name, folder = well_known
    for test in ("train[:3]", "validation"):
        data = opened(folder, name=name, train_split="train[3:]", test_split=test)
        assert len(data.train) == (7 if test != "validation" else 6)
        validated, own = levels(data.validation), list(range(100, 100 + MANY))
        assert (validated == own) == (test != "validation")
        assert_apart(data)
    half = opened(folder, name=name, test_split="validation[:50%]")
    assert len(half.test) == MANY // 2
    assert {*levels(half.test)} < {*range(100, 100 + MANY)}
    assert len(half.validation) == 1  # a tenth of the training split
    assert_apart(half)


def test_without_a_named_test_split_it_is_test_or_else_validation(well_known):
    name, folder = well_known
    data, first = opened(folder, name=name, test_split=None), 100
    if name == "places365_small":
        assert levels(data.validation) == list(range(100, 100 + MANY))
        first = 50
    assert levels(data.test) == list(range(first, first + MANY))
    assert_apart(data)
    split = "test" if name == "places365_small" else "validation"
    named = opened(folder, name=name, test_split=split)
    assert data.test.identity(1) == named.test.identity(1)


def test_without_a_split_to_test_on_one_line_says_how_to_make_one(folder, monkeypatch):
    monkeypatch.setattr(module, "TEST_SPLITS", ("held_out",))
    with pytest.raises(UserError, match=r"^dataset.test_split: shades has no split named held_out"):
        opened(folder, test_split=None)
