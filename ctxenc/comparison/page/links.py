"""What a page says of one run beside its figures: where its files are, and its command."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ctxenc.comparison.records import Record
from ctxenc.config import schema
from ctxenc.config.schema import PRIMARY
from ctxenc.evaluation.folder import Evaluation

FILES = ("", "train.log", "curves.png")  # of a run folder, itself first


class Links(NamedTuple):
    """A run's label, its files as (name, relative address), and its command."""

    label: str
    files: list[tuple[str, str]]
    command: str | None


def of(run: Record, place: Path | None) -> Links:
    """The links of a page that is in the folder `place`, to what is there; none without a place."""
    if place is None:
        return Links(run.label, [], command(run))
    names = [name for name in FILES if (run.run.path / name).exists()]
    names += [f"evaluation/{each.name}" for each in Evaluation.all_of(run.run)]
    files = [(name or "folder", _address(run.run.path / name, place)) for name in names]
    return Links(run.label, files, command(run))


def command(run: Record) -> str | None:
    """The command line that trains such a run; None where its overrides were not saved.

    Where the file it began with is not ctxenc's own, DIR stands for its folder, which is not saved.
    """
    if run.overrides is None:
        return None
    overrides = list(run.overrides)
    for name in schema.keys(lambda key: key.on_resume == "extends" or key.folder):
        value = run.settings.values.get(name)
        given = [o for o in overrides if o.startswith(f"{name}=")]
        if given and value is not None and given[-1] != f"{name}={value}":
            overrides = [o for o in overrides if o not in given] + [f"{name}={value}"]
    if run.settings.values.get("max_steps", "null") != "null":  # it decides: n_epoch is refused
        overrides = [text for text in overrides if not text.startswith("n_epoch=")]
    name = run.run.config_name or PRIMARY
    begun = ["--config-dir", "DIR", "--config-name", name] if name != PRIMARY else []
    return shlex.join(["python", "-m", "ctxenc.train", *begun, *overrides])


def _address(path: Path, place: Path) -> str:
    """Relative, so that runs and page can be moved together; never a scheme of its own."""
    return "./" + quote(os.fsencode(os.path.relpath(path, place)))
