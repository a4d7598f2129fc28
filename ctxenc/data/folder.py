"""A folder of the user's own images."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ctxenc.data import geometry, image_files
from ctxenc.data.digests import readable
from ctxenc.data.geometry import Place
from ctxenc.data.images import Dataset, RandomCrops, check_resize, resized
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
    resize: int | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One image.

        Raises:
            UserError: the file has gone, or was damaged, since the folder was opened.
        """
        return self.cut(index, None)

    def cut(self, index: int, place: Place | None) -> UInt8[np.ndarray, "height width 3"]:
        """A part of one image, or its centre; the errors are the same."""
        file = self.root / self.names[index]
        try:
            image = image_files.read(file, at_least=self.resize or self.image_size)
        except image_files.UnreadableError as error:
            raise _changed(file, error) from None
        if self.resize is None:
            return geometry.square(image, self.image_size)
        return geometry.part(image, self.image_size, short_side=self.resize, place=place)

    def identity(self, index: int) -> bytes:
        """The file's name and size: cheap, and different after any ordinary change.

        Raises:
            UserError: the file has gone since the folder was opened.
        """
        file = self.root / self.names[index]
        try:
            name = os.fsencode(f"{self.names[index]} {file.stat().st_size}")
        except OSError as error:
            raise _changed(file, error) from None
        return name + resized(self.resize)


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
    check_resize(resize, image_size)
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise UserError(f"dataset.path={path}: no such folder; it takes one of {KINDS} images")
    if not 0 < test_fraction < 1:
        raise UserError(f"dataset.test_fraction={test_fraction}: it takes a number between 0 and 1")
    names = sorted(file.relative_to(root).as_posix() for file in _images_below(root))
    if not names:
        raise UserError(f"dataset.path={path}: no {KINDS} images below it")
    digests = readable(root, names)
    folders = _split_folders(names)
    if folders is None:
        train, test = _by_content(digests, test_fraction)
    else:
        train, test = ([n for n in digests if n.startswith(f"{top}/")] for top in folders)
        if unused := len(digests) - len(train) - len(test):
            log.info("%s: %d images outside %s/ and %s/ are not used", root, unused, *folders)
    train = _without_copies(train, test, digests)
    for role, chosen in (("training", train), ("test", test)):
        if not chosen:
            raise UserError(
                f"dataset.path={path}: {len(digests)} readable images, none of them for the "
                f"{role} split; it takes more images, another dataset.test_fraction, or folders "
                "train/ and test/"
            )
    held_out = FolderImages(root, test, image_size, resize)
    shown = FolderImages(root, train, image_size, resize)
    return Dataset(root.resolve().name, shown if resize is None else RandomCrops(shown), held_out)


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


def _split_folders(names: list[str]) -> tuple[str, str] | None:
    """The subfolders that are the splits, training first; None where there are none such."""
    tops = {top.lower(): top for top in (name.split("/")[0] for name in names if "/" in name)}
    held_out = next((tops[name] for name in TEST_FOLDERS if name in tops), None)
    return (tops["train"], held_out) if "train" in tops and held_out else None


def _by_content(digests: dict[str, str], test_fraction: float) -> tuple[list[str], list[str]]:
    limit = int(test_fraction * 2**32)
    test = [name for name, digest in digests.items() if int(digest[:8], 16) < limit]
    return sorted(digests.keys() - set(test)), test  # `digests` is in the order of the names


def _without_copies(
    train: Sequence[str], test: Iterable[str], digests: dict[str, str]
) -> list[str]:
    held_out = {digests[name] for name in test}
    kept = [name for name in train if digests[name] not in held_out]
    copies = len(train) - len(kept)
    if copies:
        log.warning("%d training images are copies of test images: left out", copies)
    return kept
