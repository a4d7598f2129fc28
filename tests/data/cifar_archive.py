"""A small archive in the format of CIFAR-10's binary one."""

import io
import tarfile

import numpy as np

from ctxenc.data.cifar10 import NAMES

EACH = 8  # records a file


def records(number):
    """(labels, images) of one file: by turns a cat and something else."""
    labels = np.resize([3, number, 3, 9], EACH).astype(np.uint8)
    pixels = np.random.default_rng(number).integers(0, 256, (EACH, 32, 32, 3), np.uint8)
    return labels, pixels


TRAIN = [records(number) for number in range(5)]
TEST = [records(5)]


def binary(labels, pixels):
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(labels), -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def archive(*, without=None):
    """The archive's bytes."""
    content = {f"data_batch_{n + 1}.bin": binary(*batch) for n, batch in enumerate(TRAIN)}
    content["test_batch.bin"] = binary(*TEST[0])
    content["batches.meta.txt"] = ("\n".join(NAMES) + "\n\n").encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in content.items():
            if name != without:
                entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
