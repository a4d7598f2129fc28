"""The files below a folder of a user's: what programs and systems keep there beside is left out."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

HIDDEN = (".", "@", "$")  # .ipynb_checkpoints, .Trash, ._a.jpg; @eaDir; $RECYCLE.BIN
SYSTEMS = {"__MACOSX", "#recycle", "#snapshot", "lost+found", "System Volume Information"}


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder that is not hidden, nor in a hidden folder or a system's own.

    Links to folders are followed, and each real folder is visited once: where it is, rather than
    through a link. What cannot be looked into is named in the log.
    """
    seen: set[tuple[int, int]] = set()
    folders: list[str] = [str(root)]
    links: list[str] = []
    while folders or links:
        folder = (folders or links).pop()
        try:
            status = Path(folder).stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            log.warning("%s: skipped: %s", folder, error.strerror)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(HIDDEN) or entry.name in SYSTEMS:
                continue
            if os.path.isdir(entry.path):  # noqa: PTH112  # Path.is_dir raises on odd links
                (links if entry.is_symlink() else folders).append(entry.path)
            else:
                yield Path(entry.path)
