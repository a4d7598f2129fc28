"""A small prepared TFDS dataset."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

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


def prepare(folder):
    """Both configurations of `Shades`, each of three files a split."""
    for config in ("first", "second"):
        builder = Shades(data_dir=str(folder), config=config, file_format="array_record")
        sharded = tfds.download.DownloadConfig(num_shards=3)
        builder.download_and_prepare(download_config=sharded)
