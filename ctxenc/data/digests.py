"""The content hash of each image file of a folder that can be decoded.

Decoding and hashing 20,000 photographs takes 15 seconds of a processor, so the hashes are kept: a
file whose size and times have not changed since is not read again.
"""

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ctxenc.data import cache, image_files

log = logging.getLogger(__name__)

RECENT = 2.0  # seconds: a file changed so lately may change again within a tick of its clock
MANY = 1000  # files that take so long to read that the log says so


def content_hashes(root: Path, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256, in hexadecimal, of each file that decodes; the log names the others.

    Args:
        root: the folder.
        names: of files, relative to it.
    """
    key = f"content hashes of {root.resolve()}"
    kept = cache.load(key) or {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        states = dict(zip(names, pool.map(lambda name: _state(root, name), names), strict=True))
        unread = [name for name, state in states.items() if state not in kept]
        if len(unread) > MANY:
            log.info("%s: reading %d images", root, len(unread))
        read = dict(zip(unread, pool.map(lambda name: _hash(root / name), unread), strict=True))
    found = {}
    for name, state in states.items():
        digest = read.get(name) or kept[state]
        if isinstance(digest, image_files.UnreadableError):
            log.warning("%s: skipped: %s", root / name, digest)
        else:
            found[name] = digest
    if skipped := len(names) - len(found):
        log.warning("%s: %d of %d images skipped", root, skipped, len(names))
    settled = {state: found[name] for name, state in states.items() if state and name in found}
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


def _hash(file: Path) -> str | image_files.UnreadableError:
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
