import json
import os
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ctxenc.data import tfds_images
from ctxenc.data.tfds_images import prepared
from ctxenc.errors import UserError


class Plain(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """One number a record."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        number = tfds.features.Scalar(dtype=np.int64)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"number": number, "type": number})
        )

    def _split_generators(self, dl_manager):
        return {"train": iter([(0, {"number": 3, "type": 4})])}

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    Plain(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return folder


@pytest.fixture
def folder(whole, tmp_path, monkeypatch):
    """A copy, beside a module that tells when it is imported."""
    shutil.copytree(whole / "plain", tmp_path / "plain")
    (tmp_path / "hostile.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    assert "hostile" not in sys.modules


def planted(folder, name, change):
    file = folder / "plain" / "1.0.0" / name
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


HOSTILE = "hostile.Feature"
NESTED = json.dumps({"feature": {"type": HOSTILE, "content": {}}})
PLANTED = {
    "at the top": {"pythonClassName": HOSTILE, "tensor": {}},
    "spelt otherwise": {"python_class_name": HOSTILE, "tensor": {}},
    "the old form": {"type": HOSTILE, "content": {}},
    "a feature of a dictionary": {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {"features": {"image": {"pythonClassName": HOSTILE, "tensor": {}}}},
    },
    "in a text": {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "jsonFeature": {"json": NESTED},
    },
    "twice under one name": {
        "pythonClassName": "tensorflow_datasets.X",
        "json": NESTED,
        "tensor": {},
    },
    "in a text of a text": {
        "type": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "content": [{"json": json.dumps({"json": NESTED})}],
    },
    "nearly ours": {"pythonClassName": "tensorflow_datasets_hostile.Feature", "tensor": {}},
}


@pytest.mark.parametrize("features", PLANTED.values(), ids=PLANTED)
def test_a_feature_class_of_anybody_else_is_refused_before_anything_is_imported(folder, features):
    planted(folder, "features.json", lambda _: features)
    with pytest.raises(UserError, match=r"features.json: would have '.*hostile") as raised:
        prepared("plain", str(folder))
    assert "\n" not in str(raised.value)


def test_so_is_a_class_in_the_other_file_that_may_describe_features(folder):
    planted(folder, "dataset_info.json", lambda i: {**i, "features": PLANTED["at the top"]})
    with pytest.raises(UserError, match=r"dataset_info.json: would have 'hostile.Feature'"):
        prepared("plain", str(folder))


def test_tfds_itself_would_have_imported_it(folder):
    planted(folder, "features.json", lambda _: PLANTED["in a text"])
    with pytest.raises(SystemExit, match="imported"):
        tfds.builder_from_directory(folder / "plain" / "1.0.0")


@pytest.mark.parametrize("content", ["", "[", "[" * 100_000, "7"])
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_a_file_that_describes_nothing_is_refused_by_name(folder, name, content):
    (folder / "plain" / "1.0.0" / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}: does not describe a TFDS dataset") as raised:
        prepared("plain", str(folder))
    assert "\n" not in str(raised.value)


def test_a_description_that_is_no_file_or_a_huge_one_is_not_read(folder, monkeypatch):
    file = folder / "plain" / "1.0.0" / "features.json"
    monkeypatch.setattr(tfds_images, "MOST_JSON", file.stat().st_size - 1)
    with pytest.raises(UserError, match=r"features.json: does not .* \(expected a file of at most"):
        prepared("plain", str(folder))
    monkeypatch.setattr(tfds_images, "MOST_JSON", 10_000)
    file.unlink()
    os.mkfifo(file)  # to open it would wait for ever
    with pytest.raises(UserError, match=r"features.json: does not .* \(expected a file of at most"):
        prepared("plain", str(folder))


def shards(value):
    return lambda info: (
        info | {"splits": [part | {"shardLengths": value} for part in info["splits"]]}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shards([str(10**18)]), "no 1000000000000000000 images of train fit into its"),
        (shards(["1", "1"]), "00000-of-00002: expected a file in"),
        (shards("x"), "does not describe a TFDS dataset"),
        (shards([10**30]), "does not describe a TFDS dataset"),
        (lambda info: info | {"splits": {}}, "does not describe a TFDS dataset"),
        (lambda info: info | {"version": 3}, "does not describe a TFDS dataset"),
        (
            lambda info: (
                info
                | {"splits": [s | {"filepathTemplate": "/etc/{DATASET}"} for s in info["splits"]]}
            ),
            "expected a file in",
        ),
    ],
)
def test_what_cannot_be_there_is_refused_by_name(folder, change, message):
    planted(folder, "dataset_info.json", change)
    with pytest.raises(UserError, match=message):
        tfds_images._source(prepared("plain", str(folder)), "train", "train")


def test_records_that_are_a_pipe_are_not_waited_for(folder):
    (records,) = (folder / "plain" / "1.0.0").glob("*array_record*")
    records.unlink()
    os.mkfifo(records)
    with pytest.raises(UserError, match=f"{records.name}: expected a regular file"):
        prepared("plain", str(folder))


def test_a_dataset_of_tfds_own_features_is_opened(folder):
    planted(folder, "dataset_info.json", lambda i: {**i, "schema": {"feature": [{"type": "INT"}]}})
    source = prepared("plain", str(folder)).as_data_source("train")
    assert (source[0]["number"], source[0]["type"]) == (3, 4)
