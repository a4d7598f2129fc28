"""A folder of the user's own images."""

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ctxenc.data import files, geometry
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError

log = logging.getLogger(__name__)

KINDS = "JPEG, PNG or WebP"
TEST_FOLDERS = ("test", "val", "validation")


@dataclass(frozen=True)
class FolderImages:
    """Image files, decoded when asked for."""

    root: Path
    names: Sequence[str]
    image_size: int

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One image.

        Raises:
            UserError: the file has gone, or was damaged, since the folder was opened.
        """
        file = self.root / self.names[index]
        try:
            image = files.read(file, at_least=self.image_size)
        except files.UnreadableError as error:
            raise UserError(f"{file}: could be read at the start and cannot now: {error}") from None
        return geometry.square(image, self.image_size)

    def identity(self, index: int) -> bytes:
        """The file's name and size: cheap, and different after any ordinary change."""
        name = self.names[index]
        return f"{name} {(self.root / name).stat().st_size}".encode()


def folder(*, path: str, test_fraction: float, image_size: int) -> Dataset:
    """The JPEG, PNG and WebP images below a folder; other files are ignored.

    With subfolders ``train`` and ``test`` (or ``val``), those are the splits. Otherwise a hash of
    each file's content decides, so that the same picture is always on the same side.

    Args:
        path: the folder.
        test_fraction: share held out where there is no ``test`` folder, above 0 and below 1.
        image_size: short side resized to this, centre cropped.

    Raises:
        UserError: no such folder, or no readable images for one of the splits.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"dataset.path={path}: no such folder; it takes one of {KINDS} images")
    if not 0 < test_fraction < 1:
        raise UserError(f"dataset.test_fraction={test_fraction}: it takes a number between 0 and 1")
    names = sorted(
        file.relative_to(root).as_posix()
        for file in root.rglob("*")
        if file.suffix.lower() in files.SUFFIXES and file.is_file()
    )
    if not names:
        raise UserError(f"dataset.path={path}: no {KINDS} images below it")
    digests = _readable(root, names)
    train, test = _splits(digests, test_fraction)
    train = _without_copies(train, test, digests)
    for role, chosen in (("training", train), ("test", test)):
        if not chosen:
            raise UserError(
                f"dataset.path={path}: {len(digests)} readable images, none of them for the "
                f"{role} split; it takes more images, or folders train/ and test/"
            )
    return Dataset(
        root.resolve().name,
        FolderImages(root, train, image_size),
        FolderImages(root, test, image_size),
    )


def _readable(root: Path, names: list[str]) -> dict[str, str]:
    """The content hash of each file that decodes; the others are named in the log."""

    def digest(name: str) -> str | files.UnreadableError:
        try:
            files.read(root / name)
            return hashlib.sha256((root / name).read_bytes()).hexdigest()
        except files.UnreadableError as error:
            return error
        except OSError as error:
            return files.UnreadableError(error.strerror)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(names, pool.map(digest, names), strict=True))
    unreadable = {n: e for n, e in found.items() if isinstance(e, files.UnreadableError)}
    for name, error in unreadable.items():
        log.warning("%s: skipped: %s", root / name, error)
    if unreadable:
        log.warning("%s: %d of %d images skipped", root, len(unreadable), len(names))
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _splits(digests: dict[str, str], test_fraction: float) -> tuple[list[str], list[str]]:
    tops = {name.split("/")[0] for name in digests if "/" in name}
    held_out = next((top for top in TEST_FOLDERS if top in tops), None)
    if "train" in tops and held_out:
        train = [name for name in digests if name.startswith("train/")]
        return train, [name for name in digests if name.startswith(f"{held_out}/")]
    limit = int(test_fraction * 2**32)
    test = [name for name, digest in digests.items() if int(digest[:8], 16) < limit]
    return sorted(digests.keys() - set(test)), test


def _without_copies(
    train: Iterable[str], test: Iterable[str], digests: dict[str, str]
) -> list[str]:
    held_out = {digests[name] for name in test}
    kept = [name for name in train if digests[name] not in held_out]
    copies = len(list(train)) - len(kept)
    if copies:
        log.warning("%d training images are copies of test images: left out", copies)
    return kept
