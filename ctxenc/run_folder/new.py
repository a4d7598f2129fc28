"""New run folders: what they may be called, and each process its own."""

import contextlib
from pathlib import Path

from ctxenc.errors import UserError


def reserve(path: Path) -> Path:
    """A new folder at `path`, or at `path`-2, -3 … where others started in the same second."""
    if not path.name:
        raise UserError(f"hydra.run.dir={path}: expected the path of a new folder")
    check_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    candidate, number = path, 1
    while True:
        with contextlib.suppress(FileExistsError):
            candidate.mkdir()
            return candidate.absolute()
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")


def check_path(path: Path) -> None:
    """Refuse folders whose names Orbax 0.12 would take for patterns, and not find its files."""
    absolute = str(path.absolute())
    if odd := set("*?[") & set(absolute):
        raise UserError(f"{absolute}: checkpoints cannot be kept below a name with {min(odd)}")
