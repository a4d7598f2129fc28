"""Where configuration files are looked for, and whose code a saved run folder may name.

Beside ctxenc's own ``conf/`` these are the folder of ``--config-dir`` and the ``conf/`` of every
package that announces itself: by an entry point of the group ``ctxenc.plugins``, or by its name in
the environment variable ``CTXENC_PLUGINS`` (several with commas between).
"""

import importlib.util
import os
from functools import cache
from importlib import metadata
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from ctxenc.errors import UserError

ENTRY_POINTS, VARIABLE = "ctxenc.plugins", "CTXENC_PLUGINS"

_extra: list[Path] = []  # the folder of --config-dir


@cache
def config_dir() -> Path:
    """Ctxenc's own YAML files: inside the package once installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def add(folder: str | Path | None) -> None:
    """Look in the folder of ``--config-dir`` too; None leaves out one that was given before.

    Raises:
        UserError: no such folder.
    """
    _extra.clear()
    if folder is not None:
        if not Path(folder).is_dir():
            raise UserError(f"--config-dir {folder}: no such folder")
        _extra.append(Path(folder).absolute())


@cache
def _installed() -> tuple[str, ...]:
    return tuple(point.module.split(".")[0] for point in metadata.entry_points(group=ENTRY_POINTS))


def announced() -> tuple[str, ...]:
    """The top-level packages that announce themselves to ctxenc."""
    named = os.environ.get(VARIABLE, "").split(",")
    return tuple(dict.fromkeys([*_installed(), *(n.strip() for n in named if n.strip())]))


def folders() -> list[Path]:
    """Every folder that is searched, ctxenc's own first."""
    found = [config_dir(), *_extra]
    for package in announced():
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError) as error:
            raise UserError(
                f"{VARIABLE}={package}: {error}; expected packages, with commas between"
            ) from None
        for place in (spec.submodule_search_locations or ()) if spec else ():
            found += [conf] if (conf := Path(place, "conf")).is_dir() else []
    return found


def choices(group: str) -> dict[str, str]:
    """Each choice of a group and its one-sentence description: the first comment of its file."""
    files = [f for folder in folders() for f in sorted((folder / group).glob("*.yaml"))]
    return {file.stem: _description(file) for file in files}


def _description(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = (line[2:].strip() for line in lines if line.startswith("# "))
    return next((text for text in comments if text and not text.startswith("@")), "")


class _SearchPath(SearchPathPlugin):
    """Tells Hydra, whichever way it is started."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in folders()[1:]:
            search_path.append("ctxenc", f"file://{folder}")


Plugins.instance().register(_SearchPath)
