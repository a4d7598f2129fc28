"""Results that take long to compute, kept in the user's cache folder for later processes.

Where the folder is damaged, or cannot be read or written, nothing is found and nothing is kept.
"""

import contextlib
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable
from typing import Any

import diskcache

from ctxenc import paths

log = logging.getLogger(__name__)

WAIT = 5  # seconds at most, where another process is writing


def load(key: str) -> Any:
    """The value saved under `key`; None where there is none."""
    return _tried(lambda cache: cache.get(key))


def save(key: str, value: Any) -> None:
    """Keep a value that JSON can hold; of several processes that save one, the last one wins.

    When the cache is full (1 GB), what was saved longest ago goes first.
    """
    _tried(lambda cache: cache.set(key, value))


def _tried(act: Callable[[diskcache.Cache], Any]) -> Any:
    if (folder := paths.cache("results")) is None:
        return None
    # Neither a write-ahead log nor a memory map: home folders on clusters are network file systems,
    # where SQLite cannot have them (https://sqlite.org/wal.html). And no waiting for the disk.
    options = {"sqlite_journal_mode": "delete", "sqlite_mmap_size": 0, "sqlite_synchronous": 0}
    try:
        with _opened(str(folder), disk=_Json, timeout=WAIT, **options) as cache:
            return act(cache)
    except (OSError, ValueError, sqlite3.Error, diskcache.Timeout, zlib.error) as error:
        log.debug("%s: not used: %s", folder, error)
        if type(error) is sqlite3.DatabaseError:  # damaged: the next use starts a new one
            with contextlib.suppress(OSError):
                (folder / "cache.db").unlink()
        return None


def _opened(folder: str, **options: Any) -> diskcache.Cache:
    """The cache of a folder. To open it is to write to it, and one of its writes does not wait."""
    until = time.monotonic() + WAIT
    while True:
        try:
            return diskcache.Cache(folder, **options)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


class _Json(diskcache.JSONDisk):
    """Values as JSON. A pickle that somebody else put there could run code; it is not loaded."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode == diskcache.core.MODE_PICKLE:
            raise ValueError("a pickle")
        return super().fetch(mode, filename, value, read)
