"""Finding run folders below others."""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ctxenc.errors import UserError

log = logging.getLogger(__name__)

MOST_FOLDERS = 50_000  # looked into; a link to / must not take for ever
DEEPEST = 12  # levels


def find(folders: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The run folders at or below `folders`, each once, with 2 before 10.

    Run folders are not descended into, hidden folders are passed over, and links are followed but
    never in a circle.

    Raises:
        UserError: a folder that is not there or cannot be read, or no run below any of them.
    """
    roots = [Path(folder).expanduser() for folder in folders]
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    for folder in roots:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected run folders, or folders of them")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UserError(f"{folder}: cannot be read (permission denied)")
        found += _walk(folder.absolute(), seen)
    if not found:
        names = ", ".join(map(str, roots))
        raise UserError(
            f"{names}: no run here or below; a run folder has .hydra/config.yaml and status.json"
        )
    return sorted(found, key=lambda path: natural(str(path)))


def natural(text: str) -> list[tuple[int, int | str]]:
    """A sort key that puts 2 before 10."""
    parts = re.split(r"(\d{1,18})", text)
    return [(0, int(p)) if p.isascii() and p.isdigit() else (1, p) for p in parts]


def labels(paths: list[Path]) -> list[str]:
    """The shortest names that tell the folders apart: their paths below what they share."""
    shared = os.path.commonpath([path.parent for path in paths])
    return [os.path.relpath(path, shared) for path in paths]


def _walk(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    for place, names, files in os.walk(root, followlinks=True, onerror=_left_out):
        folder, inside = Path(place), {*names, *files}
        # Links last, so that a folder is named by its own path.
        below = sorted(names, key=lambda n: ((folder / n).is_symlink(), natural(n)))
        names.clear()  # of what is left here, os.walk goes on with
        status = folder.stat()
        if (identity := (status.st_dev, status.st_ino)) in seen:
            continue
        if len(seen) >= MOST_FOLDERS:
            log.warning("%s: more than %d folders; the rest is left out", root, MOST_FOLDERS)
            return
        seen.add(identity)
        if _is_run(folder, inside):
            yield folder
        elif len(folder.parts) - len(root.parts) < DEEPEST:
            names += [name for name in below if not name.startswith(".")]


def _left_out(error: OSError) -> None:
    log.warning("%s: left out (%s)", error.filename, error.strerror)


def _is_run(folder: Path, names: set[str]) -> bool:
    """Whether it looks like a run; one that lost its configuration counts, to be reported."""
    if ".hydra" in names and (folder / ".hydra" / "config.yaml").exists():
        return bool(names & {"status.json", "metrics.jsonl"})
    return {"status.json", "metrics.jsonl"} <= names
