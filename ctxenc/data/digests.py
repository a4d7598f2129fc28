"""The content hash of each picture of a folder that can be decoded.

Decoding and hashing 20,000 photographs takes 15 seconds of a processor, so hashes are remembered: a
file whose size and times are those of an earlier start is not read again.
"""

import hashlib
import logging
import os
import re
import stat
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ctxenc.data import cache, image_files

log = logging.getLogger(__name__)

RECENT = 2.0  # seconds: what changed so lately may change again within one tick of its clock
MANY = 1000  # files that take so long to read that it is said

Stamp = tuple[int, int, int]
"""Size, and when content and inode last changed (nanoseconds): a time set by hand shows."""


def readable(root: Path, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256, in hexadecimal, of each file that decodes; the others are named in the log.

    Args:
        root: the folder.
        names: of files, relative to it.
    """
    memory = f"folder-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()}"
    known = cache.recall(memory)
    known = known if isinstance(known, dict) else {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        stamps = dict(zip(names, pool.map(lambda name: _stamp(root / name), names), strict=True))
        found = {name: _recalled(known.get(name), stamps[name]) for name in names}
        unknown = [name for name in names if found[name] is None]
        if len(unknown) > MANY:
            log.info("%s: reading %d images", root, len(unknown))
        read = zip(unknown, pool.map(lambda name: _digest(root / name), unknown), strict=True)
        failed: dict[str, image_files.UnreadableError] = {}
        for name, value in read:
            if isinstance(value, str):
                found[name] = value
            else:
                failed[name] = value
    for name, error in failed.items():
        log.warning("%s: skipped: %s", root / name, error)
    if failed:
        log.warning("%s: %d of %d images skipped", root, len(failed), len(names))
    digests = {name: digest for name, digest in found.items() if digest is not None}
    settled = _settled(digests, stamps)
    if settled != known:
        cache.remember(memory, settled)
    return digests


def _stamp(file: Path) -> Stamp | None:
    """None for what is not a file, or not any more."""
    try:
        status = file.stat()
    except OSError:
        return None
    regular = stat.S_ISREG(status.st_mode)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) if regular else None


def _recalled(entry: object, stamp: Stamp | None) -> str | None:
    """The remembered hash, where it is of the file as it is now."""
    if stamp is None or not isinstance(entry, list) or entry[:-1] != list(stamp):
        return None
    return entry[-1] if re.fullmatch("[0-9a-f]{64}", str(entry[-1])) else None


def _settled(digests: dict[str, str], stamps: dict[str, Stamp | None]) -> dict[str, list]:
    """What may be remembered."""
    latest = time.time_ns() - int(RECENT * 1e9)
    return {
        name: [*stamp, digest]
        for name, digest in digests.items()
        if (stamp := stamps[name]) is not None and max(stamp[1:]) < latest
    }


def _digest(file: Path) -> str | image_files.UnreadableError:
    try:
        if not file.is_file():  # reading a pipe would wait for ever
            raise FileNotFoundError(0, "no such file")
        image_files.read(file, at_least=1)
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except image_files.UnreadableError as error:
        return error
    except OSError as error:
        return image_files.UnreadableError(error.strerror)
