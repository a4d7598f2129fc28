"""Small results that take long to find: kept for a process's next jobs, or for later processes.

Those for later processes are in the user's cache folder. Where they are lost, or the folder cannot
be read or written, they are found again.
"""

import functools
import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from platformdirs import user_cache_path

from ctxenc.data.images import Images, MemoryImages

log = logging.getLogger(__name__)
Rest = ParamSpec("Rest")
Found = TypeVar("Found")
SPLITS = 2  # whose results a process keeps, and with these the images: a data set has two


def for_the_next_job(
    find: Callable[Concatenate[Any, Rest], Found],
) -> Callable[Concatenate[Any, Rest], Found]:
    """Have a function of images find what it does of images in memory, which stay the same, once.

    The jobs of a sweep share those. What else it takes must be hashable.
    """
    kept = functools.lru_cache(SPLITS)(find)

    @functools.wraps(find)
    def found(images: Images, *rest: Rest.args, **named: Rest.kwargs) -> Found:
        if isinstance(images, MemoryImages):
            return kept(images, *rest, **named)  # type: ignore[arg-type]
        return find(images, *rest, **named)

    return found


def recall(name: str) -> Any:
    """What was remembered under a name; None where nothing readable was."""
    try:
        return json.loads(_file(name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def remember(name: str, value: Any) -> None:
    """Keep a value that JSON can hold; the file is there whole or not at all."""
    file = _file(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as target:
                json.dump(value, target)
            Path(part).replace(file)
        except BaseException:
            Path(part).unlink()
            raise
    except OSError as error:
        log.debug("%s: not remembered: %s", file, error)


def _file(name: str) -> Path:
    return user_cache_path("ctxenc") / "remembered" / f"{name}.json"
