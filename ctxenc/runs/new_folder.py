"""Where new folders go: names that nothing has, and that Orbax can work below."""

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
        try:
            candidate.mkdir()
        except FileExistsError:
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        else:
            return candidate.absolute()


def check_path(path: Path) -> None:
    """Refuse folders below which Orbax 0.12 would save checkpoints that cannot be read again.

    It looks for its own files with glob patterns, and takes the path for a part of them.
    """
    if odd := set("*?[") & set(str(path.absolute())):
        raise UserError(
            f"{path.absolute()}: checkpoints cannot be kept below a name with {min(odd)}"
        )
