"""A folder of the user's own images.

Each file is decoded and hashed when the folder is opened: 15 seconds of a processor for 20,000
photographs. So the hashes are kept, and only files whose size or times have changed are read again.
"""

import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctxenc.data import cache, image_files
from ctxenc.data.images import HELD_OUT, Dataset, Picture
from ctxenc.data.labels import Labels
from ctxenc.data.walk import files_below
from ctxenc.errors import UserError
from ctxenc.paths import expanded

log = logging.getLogger(__name__)

KINDS = "JPEG, PNG or WebP"
VALIDATION_FOLDERS = ("val", "validation")
RECENT = 2.0  # seconds: a file changed so lately may change again within a tick of its clock
MOST_KINDS = 5  # of other files that the log lists
MANY = 1000  # files that take so long to read that the log says so


@dataclass(frozen=True)
class ImageFiles:
    """Image files below a folder, by their names relative to it.

    A `UserError` names one that has gone, or was damaged, since the folder was opened.
    """

    root: Path
    names: Sequence[str]
    level: int = 0  # how many folders deep those are that are classes
    classes: Sequence[str] = ()  # of all splits' images

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> Callable[[], Labels] | None:
        """What says which class's folder each is in; None where there is no such folder."""
        return self._labels if self.classes else None

    def _labels(self) -> Labels:
        positions = {folder: number for number, folder in enumerate(self.classes)}
        found = [positions.get(_class(name, self.level), -1) for name in self.names]
        if -1 in found:
            raise UserError(
                f"{self.root / self.names[found.index(-1)]}: in no class's folder; expected one "
                "subfolder a class"
            )
        return Labels(np.array(found, int), tuple(self.classes))

    def read(self, index: int, at_least: int) -> Picture:
        """One picture."""
        file = self.root / self.names[index]
        try:
            return image_files.read(file, at_least=at_least)
        except image_files.UnreadableError as error:
            raise _changed(file, error) from None

    def name(self, index: int) -> bytes:
        """The file's name and size: cheap, and different after any ordinary change."""
        file = self.root / self.names[index]
        try:
            return os.fsencode(f"{self.names[index]} {file.stat().st_size}")
        except OSError as error:
            raise _changed(file, error) from None


def _class(name: str, level: int) -> str:
    """The folder at a level of an image's name; nothing where it is not that deep."""
    return next(iter(name.split("/")[level:-1]), "")


def _changed(file: Path, error: Exception) -> UserError:
    return UserError(f"{file}: could be read at the start and cannot now: {error}")


def folder(
    *,
    path: str,
    test_fraction: float,
    resize: int | None = None,
    resize_most: int | None = None,
    image_size: int,
) -> Dataset:
    """The JPEG, PNG and WebP images below a folder, where no hidden or system folder has them.

    Subfolders ``train``, ``val`` and ``test`` are the splits. Of splits that have no folder, a hash
    of each file's content decides, so that the same picture is always on the same side. A split's
    subfolders, or else the folder's, are the images' classes, for who asks for `labels`. The
    options are explained in ``conf/dataset/folder.yaml``.

    Raises:
        UserError: no such folder, or no readable images for one of the splits; with a
            `test_fraction` of 1, for the test split.
    """
    root = expanded(path)
    if not path or not root.is_dir():
        raise UserError(f"dataset.path={path}: no such folder; expected one of {KINDS} images")
    if not 0 < test_fraction <= 1:
        raise UserError(
            f"dataset.test_fraction={test_fraction}: must be a number above 0, and at most 1"
        )
    names = _images_below(root)
    if not names:
        raise UserError(f"dataset.path={path}: no {KINDS} images below it")
    hashes = content_hashes(root, names)
    folders = _split_folders(names)
    splits = _splits(root, folders, hashes, test_fraction)
    for role, chosen in splits.items():
        if not chosen and (role == "test" or test_fraction < 1):
            raise UserError(
                f"dataset.path={path}: {len(hashes)} readable images, none of them for the "
                f"{role} split; expected more images, another dataset.test_fraction, or folders "
                "train/, val/ and test/"
            )
    level = 1 if folders else 0
    every = {_class(image, level) for chosen in splits.values() for image in chosen}
    classes = sorted(every - {""})
    pictures = {role: ImageFiles(root, of, level, classes) for role, of in splits.items()}
    name = root.resolve().name
    return Dataset.of_pictures(
        name, **pictures, image_size=image_size, resize=resize, resize_most=resize_most
    )


def _images_below(root: Path) -> list[str]:
    """The images' names relative to the folder, in order; the log says what else is there."""
    files = list(files_below(root))
    if others := other_kinds(files, image_files.SUFFIXES, KINDS):
        log.warning("%s: %s", root, others)
    images = (file for file in files if file.suffix.lower() in image_files.SUFFIXES)
    return sorted(file.relative_to(root).as_posix() for file in images)


def other_kinds(files: Iterable[Path], suffixes: Collection[str], kinds: str) -> str:
    """How many files have none of the endings of some `kinds`, in one line; nothing where none."""
    counts = Counter(file.suffix.lower() for file in files)
    others = {kind: n for kind, n in counts.most_common() if kind not in suffixes}
    first = [f"{n} {kind or 'without an ending'}" for kind, n in others.items()][:MOST_KINDS]
    first += ["…"] * (len(others) > MOST_KINDS)
    total = sum(others.values())
    said = "file is" if total == 1 else "files are"
    return f"{total} {said} no {kinds}: {', '.join(first)}" if others else ""


def _split_folders(names: Sequence[str]) -> list[str]:
    """The folders that are splits, in the order test, validation, train; none without `train`.

    Where there is `val` and no `test`, `val` is what others report on: it is the test split.
    """
    tops = {top.lower(): top for top in (name.split("/")[0] for name in names if "/" in name)}
    found = [tops[name] for name in ("test", *VALIDATION_FOLDERS) if name in tops]
    if "train" in tops and not found and len(tops) > 1:  # as valid/ would be
        log.warning(
            "train/ stands beside %s, and none is a split that is known (%s): all are one set",
            ", ".join(f"{top}/" for name, top in tops.items() if name != "train"),
            ", ".join(f"{name}/" for name in ("test", *VALIDATION_FOLDERS)),
        )
    return [*found[:2], tops["train"]] if "train" in tops and found else []


def _splits(
    root: Path, folders: Sequence[str], hashes: dict[str, str], test_fraction: float
) -> dict[str, list[str]]:
    """The names of each split's images, without copies of what is held out from it."""
    if folders:
        parts = [[n for n in hashes if n.startswith(f"{top}/")] for top in folders]
        if unused := len(hashes) - sum(map(len, parts)):
            log.info("%s: %d images outside %s/ are not used", root, unused, "/, ".join(folders))
    else:
        parts = list(_held_out(hashes, hashes, test_fraction, 0))
    if len(parts) == 2:
        test, rest = parts
        parts = [test, *_held_out(hashes, rest, HELD_OUT, 1)]
    splits: dict[str, list[str]] = {}
    seen: set[str] = set()
    for role, part in zip(("test", "validation", "train"), parts, strict=True):
        splits[role] = [name for name in part if hashes[name] not in seen]
        if copies := len(part) - len(splits[role]):
            log.warning("%d %s images are copies of held-out images: left out", copies, role)
        seen |= {hashes[name] for name in part}
    return {role: splits[role] for role in ("train", "validation", "test")}


def _held_out(
    hashes: dict[str, str], names: Iterable[str], fraction: float, word: int
) -> tuple[list[str], list[str]]:
    """(a share of the images, the rest), by the n-th 32 bits of each one's hash."""
    limit, digits = int(fraction * 2**32), slice(8 * word, 8 * word + 8)
    below = {name: int(hashes[name][digits], 16) < limit for name in names}
    return [name for name in below if below[name]], [name for name in below if not below[name]]


def content_hashes(root: Path, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256, in hexadecimal, of each file below `root` that decodes; the log names others."""
    key = f"content hashes of {root.resolve()}"
    kept = cache.load(key) or {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        states = list(pool.map(lambda name: _state(root, name), names))
        unread = [name for name, state in zip(names, states, strict=True) if state not in kept]
        if len(unread) > MANY:
            log.info("%s: reading %d images", root, len(unread))
        read = dict(zip(unread, pool.map(lambda name: _hash(root / name), unread), strict=True))
    found, settled = {}, {}
    for name, state in zip(names, states, strict=True):
        digest = read.get(name) or kept[state]
        if isinstance(digest, Exception):
            log.warning("%s: skipped: %s", root / name, digest)
            continue
        found[name] = digest
        if state is not None:
            settled[state] = digest
    if skipped := len(names) - len(found):
        log.warning("%s: %d of %d images skipped", root, skipped, len(names))
    if settled != kept:
        cache.save(key, settled)
    return found


def _state(root: Path, name: str) -> str | None:
    """What changes with a file's content; None where it may yet change unnoticed."""
    try:
        status = (root / name).stat()
    except OSError:
        return None
    # The inode's time tells of a change after which the other was set back.
    times = status.st_mtime_ns, status.st_ctime_ns
    if max(times) > time.time_ns() - RECENT * 1e9:
        return None
    return f"{name} {status.st_size} {times[0]} {times[1]}"


def _hash(file: Path) -> str | Exception:
    if not file.is_file():  # reading a pipe would wait for ever
        return OSError("not a regular file")
    try:
        image_files.read(file, at_least=1)
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except (image_files.UnreadableError, OSError) as error:
        return error
