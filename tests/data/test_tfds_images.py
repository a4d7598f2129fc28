import dataclasses
import io
import json
import shutil
import struct
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from omegaconf import OmegaConf
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from ctxenc.config import instantiate
from ctxenc.config.compose import compose
from ctxenc.data import tfds_images as module
from ctxenc.data.images import decode
from ctxenc.data.tfds_images import tfds_images
from ctxenc.errors import UserError

COUNTS = {"train": 40, "test": 10}
LABELS = ["zero", "one", "two", "three"]


def png(pixels):
    """Encoded, since TFDS needs TensorFlow to encode."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    buffer.seek(0)
    return buffer


def value(split, index):
    """The grey level that tells an image from all others."""
    return index + (100 if split == "test" else 0)


class Shades(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Plain images of mixed sizes in which the grey level is the image's number."""

    VERSION = tfds.core.Version("1.2.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("first", "second")]  # noqa: RUF012

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "grey": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "deep": tfds.features.Image(
                shape=(None, None, 1), dtype=np.uint16, encoding_format="png"
            ),
            "label": tfds.features.ClassLabel(names=LABELS),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
        for index in range(COUNTS[split]):
            level, shape = value(split, index), (8 + index % 3, 9)
            yield (
                index,
                {
                    "image": png(np.full((*shape, 3), [level, 7, 200], np.uint8)),
                    "grey": png(np.full(shape, level, np.uint8)),
                    "deep": png(np.full(shape, level * 257, np.uint16)),
                    "label": index % 4,
                },
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for config in ("first", "second"):
        builder = Shades(data_dir=str(folder), config=config, file_format="array_record")
        sharded = tfds.download.DownloadConfig(num_shards=3)
        builder.download_and_prepare(download_config=sharded)
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


def levels(images):
    return sorted(decode(images, range(len(images)))[:, 0, 0, 0].tolist())


def all_of(split):
    return [value(split, index) for index in range(COUNTS[split])]


def test_a_prepared_dataset_is_read_back(folder):
    data = opened(folder)
    assert data.name == "shades"
    assert (levels(data.train), levels(data.test)) == (all_of("train"), all_of("test"))
    pixels = decode(data.train, range(40))
    assert pixels.shape == (40, 4, 4, 3)
    assert (pixels[..., 1:] == [7, 200]).all()


@pytest.mark.parametrize("name", ["shades/first:1.2.0", "shades/first:1.*.*"])
def test_a_version_may_be_named(folder, name):
    assert levels(opened(folder, name=name).train) == all_of("train")


def test_without_a_name_of_a_config_one_is_taken(folder):
    assert levels(opened(folder, name="shades").train) == all_of("train")


@pytest.mark.parametrize("key", ["grey", "deep"])
def test_grey_and_16_bit_images_become_rgb(folder, key):
    data = opened(folder, image_key=key)
    pixels = decode(data.train, range(40))
    assert pixels.shape == (40, 4, 4, 3)
    assert (pixels == pixels[:, :1, :1, :1]).all()
    assert levels(data.train) == all_of("train")


def test_slices_of_one_split_share_no_image(folder):
    data = opened(folder, train_split="train[:50%]", test_split="train[50%:]")
    assert len(data.train) == len(data.test) == 20
    assert sorted(levels(data.train) + levels(data.test)) == all_of("train")
    joined = opened(folder, train_split="train[10:]+test[:3]", test_split="train[:10]+test[3:]")
    assert sorted(levels(joined.train) + levels(joined.test)) == all_of("train") + all_of("test")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "train"),
        ("train[:60%]", "train[50%:]"),
        ("train", "train[39:]"),  # in the last of three files
        ("train[20:]", "train[20:21]"),
        ("train+test", "test"),
        ("train", "test+train[20:21]"),
    ],
)
def test_splits_that_share_an_image_are_refused(folder, train, test):
    with pytest.raises(UserError, match=r"^dataset.test_split=.*: shares images with") as raised:
        opened(folder, train_split=train, test_split=test)
    assert f"dataset.train_split={train};" in str(raised.value)


@pytest.mark.parametrize("split", ["nope", "train[", "", "train[:0%]", "train[90%:10%]"])
@pytest.mark.parametrize("role", ["train", "test"])
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
    assert levels(data.train) == [v for v in all_of("train") if v % 4 in (1, 3)]
    assert levels(data.test) == [value("test", index) for index in (1, 3, 5, 7, 9)]
    half = opened(folder, classes=["two"], train_split="train[20:]")
    assert set(levels(half.train)) < {v for v in all_of("train") if v % 4 == 2}


def test_labels_may_be_read_in_several_blocks(folder, monkeypatch):
    at_once = opened(folder, classes=["one"])
    monkeypatch.setattr(module, "BLOCK", 7)
    assert list(opened(folder, classes=["one"]).train.pictures.chosen) == list(
        at_once.train.pictures.chosen
    )


@pytest.mark.parametrize("classes", [["four"], ["one", "four"], []])
def test_unknown_classes_are_refused_with_the_known(folder, classes):
    with pytest.raises(UserError, match=r"^dataset.classes=\[.*\]: .* zero, one, two, three"):
        opened(folder, classes=classes)


def test_a_class_without_an_image_is_refused(folder):
    there = levels(opened(folder, test_split="test[:1]").test)[0] % 4
    missing = LABELS[there - 1]
    with pytest.raises(UserError, match=rf"^dataset.test_split=test\[:1\]: .*{missing}"):
        opened(folder, classes=[missing], test_split="test[:1]")


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
    first = [data.train.identity(index) for index in range(40)]
    others = [data.test.identity(0), second.train.identity(0)]
    assert len({*first, *others}) == 42
    assert first == [again.train.identity(index) for index in range(40)]
    assert b"shades/first/1.2.0" in first[0]


def test_a_dataset_that_is_moved_is_the_same(folder, tmp_path):
    shutil.copytree(folder / "shades", tmp_path / "shades")
    here, there = opened(folder), opened(tmp_path)
    assert here.train.identity(5) == there.train.identity(5)
    np.testing.assert_array_equal(here.train[5], there.train[5])


def test_a_home_folder_is_found(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(opened(f"~/{folder.name}").train) == 40


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
    assert data.train.random_crops
    assert levels(data.test) == all_of("test")
    assert levels(data.train) == all_of("train")
    assert levels(data.train.of_epoch(0, 3)) == all_of("train")
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


WELL_KNOWN = {  # name: configuration, version, and splits with their first level
    "imagenette": ("full-size-v2", "1.0.0", {"train": 0, "validation": 100}),
    "places365_small": (None, "2.1.0", {"train": 0, "test": 50, "validation": 100}),
    "imagenet2012": (None, "5.1.0", {"train": 0, "validation": 100}),
}


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
            for index in range(3):
                pixels = np.full((9, 12, 3), splits[split] + index, np.uint8)
                label = -1 if split == "test" else index
                yield index, {"image": png(pixels), "label": label}

    folder = tmp_path_factory.mktemp(request.param)
    Few(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return request.param, folder


def test_a_well_known_dataset_is_opened_by_its_choice_alone(well_known):
    name, folder = well_known
    node = compose([f"dataset={name}", f"dataset.data_dir={folder}"]).dataset
    data = instantiate.target(OmegaConf.to_container(node), "dataset")(image_size=4)
    assert data.name == name
    assert (levels(data.train), levels(data.test)) == ([0, 1, 2], [100, 101, 102])
    few = opened(folder, name=name, classes=["one"], test_split="validation")
    assert (levels(few.train), levels(few.test)) == ([1], [101])


def test_without_a_named_test_split_it_is_test_or_else_validation(well_known):
    name, folder = well_known
    data = opened(folder, name=name, test_split=None)
    assert levels(data.test) == ([50, 51, 52] if name == "places365_small" else [100, 101, 102])
    split = "test" if name == "places365_small" else "validation"
    named = opened(folder, name=name, test_split=split)
    assert data.test.identity(1) == named.test.identity(1)


def test_without_a_split_to_test_on_one_line_says_how_to_make_one(folder, monkeypatch):
    monkeypatch.setattr(module, "TEST_SPLITS", ("held_out",))
    with pytest.raises(UserError, match=r"^dataset.test_split: shades has no split named held_out"):
        opened(folder, test_split=None)
