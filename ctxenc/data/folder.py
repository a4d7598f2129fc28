"""A folder of the user's own images."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ctxenc.data import image_files
from ctxenc.data.digests import content_hashes
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError

log = logging.getLogger(__name__)

KINDS = "JPEG, PNG or WebP"
TEST_FOLDERS = ("test", "val", "validation")


@dataclass(frozen=True)
class ImageFiles:
    """Image files below a folder, by their names relative to it."""

    root: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int, at_least: int) -> UInt8[np.ndarray, "height width 3"]:
        """One picture.

        Raises:
            UserError: the file has gone, or was damaged, since the folder was opened.
        """
        file = self.root / self.names[index]
        try:
            return image_files.read(file, at_least=at_least)
        except image_files.UnreadableError as error:
            raise _changed(file, error) from None

    def name(self, index: int) -> bytes:
        """The file's name and size: cheap, and different after any ordinary change.

        Raises:
            UserError: the file has gone since the folder was opened.
        """
        file = self.root / self.names[index]
        try:
            return os.fsencode(f"{self.names[index]} {file.stat().st_size}")
        except OSError as error:
            raise _changed(file, error) from None


def _changed(file: Path, error: Exception) -> UserError:
    return UserError(f"{file}: could be read at the start and cannot now: {error}")


def folder(
    *, path: str, test_fraction: float, resize: int | None = None, image_size: int
) -> Dataset:
    """The JPEG, PNG and WebP images below a folder; other files are ignored.

    With subfolders ``train`` and ``test`` (or ``val``), those are the splits. Otherwise a hash of
    each file's content decides, so that the same picture is always on the same side.

    Args:
        path: the folder.
        test_fraction: share held out where there is no ``test`` folder, above 0 and below 1.
        resize: short side before images of `image_size` are cut out, those to train on at random;
            None resizes to `image_size` and cuts out the centre.
        image_size: height and width of the images.

    Raises:
        UserError: no such folder, or no readable images for one of the splits.
    """
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise UserError(f"dataset.path={path}: no such folder; expected one of {KINDS} images")
    if not 0 < test_fraction < 1:
        raise UserError(f"dataset.test_fraction={test_fraction}: must be a number between 0 and 1")
    names = sorted(file.relative_to(root).as_posix() for file in _images_below(root))
    if not names:
        raise UserError(f"dataset.path={path}: no {KINDS} images below it")
    hashes = content_hashes(root, names)
    train, test = _splits(root, names, hashes, test_fraction)
    for role, chosen in (("training", train), ("test", test)):
        if not chosen:
            raise UserError(
                f"dataset.path={path}: {len(hashes)} readable images, none of them for the "
                f"{role} split; expected more images, another dataset.test_fraction, or folders "
                "train/ and test/"
            )
    splits = ImageFiles(root, train), ImageFiles(root, test)
    return Dataset.of_pictures(root.resolve().name, *splits, image_size, resize)


def _images_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Links to folders are followed, unless they lead back to a folder `above`."""
    real = folder.resolve()
    if real in above:
        return
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        log.warning("%s: skipped: %s", folder, error.strerror)
        return
    for entry in entries:
        if entry.is_dir():
            yield from _images_below(Path(entry.path), (*above, real))
        elif Path(entry.name).suffix.lower() in image_files.SUFFIXES and (
            entry.is_file() or entry.is_symlink()
        ):
            yield Path(entry.path)


def _splits(
    root: Path, names: Sequence[str], hashes: dict[str, str], test_fraction: float
) -> tuple[list[str], list[str]]:
    """The names of the training and of the test images, without what is in both."""
    tops = {top.lower(): top for top in (name.split("/")[0] for name in names if "/" in name)}
    held_out = next((tops[name] for name in TEST_FOLDERS if name in tops), None)
    if "train" in tops and held_out:
        folders = (tops["train"], held_out)
        train, test = ([n for n in hashes if n.startswith(f"{top}/")] for top in folders)
        if unused := len(hashes) - len(train) - len(test):
            log.info("%s: %d images outside %s/ and %s/ are not used", root, unused, *folders)
    else:
        limit = int(test_fraction * 2**32)
        train = [name for name in hashes if int(hashes[name][:8], 16) >= limit]
        test = [name for name in hashes if int(hashes[name][:8], 16) < limit]
    tested = {hashes[name] for name in test}
    kept = [name for name in train if hashes[name] not in tested]
    if copies := len(train) - len(kept):
        log.warning("%d training images are copies of test images: left out", copies)
    return kept, test
