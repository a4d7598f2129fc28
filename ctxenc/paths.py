"""Folders of the user's: a home that is written ``~``, and the cache."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from ctxenc.errors import UserError


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with the user's home for ``~``, or another's for ``~name``.

    Raises:
        UserError: nobody of that name has a home here, or nobody knows who the user is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no home folder is known for {Path(path).parts[0]}") from None


def cache(name: str) -> Path | None:
    """A folder of the user's cache; None in a container, say, whose user has no home."""
    folder = user_cache_path("ctxenc") / name
    return folder if folder.is_absolute() else None
