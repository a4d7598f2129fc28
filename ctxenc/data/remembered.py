"""Small results that take long to find, kept between processes in the user's cache folder.

Where they are lost, or the folder cannot be read or written, they are found again.
"""

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

log = logging.getLogger(__name__)


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
