"""The runs below some folders as a comparison sees them: read without failing, whatever is in them.

What is missing is a blank and a note. "Damaged" is only what is there and cannot be read: torn
JSON, or a value of the wrong type. What a newer version wrote is kept.
"""

import functools
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ctxenc.comparison.figures import Figures, metric_of
from ctxenc.comparison.settings import Settings, read_yaml
from ctxenc.config import schema
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS
from ctxenc.paths import expanded
from ctxenc.runs.folder import FORMAT, Run

log = logging.getLogger(__name__)

MOST_FOLDERS = 50_000  # looked into; a link to / must not take for ever
DEEPEST = 12  # levels
OWN_KEYS = ("run", "state", "step", "seconds")  # of `Record.values`
SILENT_AFTER = 3600  # seconds without a line: a run that says it runs may have been killed
MOST = 2**53  # steps and seconds beyond this are no count


class TestedOn(NamedTuple):
    """What a run was tested on while it trained.

    `split` is ``validation``, or ``test`` of runs from before there was a validation split, `masks`
    the hash of the masks, `images` the fingerprint of the images. Runs are ranked together where
    all three are the same.
    """

    split: str
    masks: str
    images: str


@dataclass(frozen=True, eq=False)
class Record:
    """One run; what its folder does not say is None or empty.

    `state` is that of ``status.json``, ``damaged``, or ``unknown``; `problem` says what is missing
    or damaged, and why it is not finished. `last`, `best` and `baselines` have the figures of
    metrics that this version does not know too, and all three are of the split that `tested_on`
    names. `best_step` is the step of `best`.
    """

    run: Run
    label: str
    state: str = "unknown"
    problem: str | None = None
    step: int | None = None
    seconds: float | None = None
    settings: Settings = Settings()
    overrides: tuple[str, ...] | None = None
    last: Figures = field(default_factory=dict)
    best: Figures = field(default_factory=dict)
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    best_step: int | None = None
    tested_on: TestedOn | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)

    def shown(self, key: str, value: str) -> str:
        """The value of a setting as people see it.

        Of the path of another run that is what labels are, its part below what the runs share; of
        one that is elsewhere, its last part.
        """
        if (known := schema.keys().get(key)) is None or not known.folder:
            return value
        shared = str(self.run.path).removesuffix(self.label)
        return value.removeprefix(shared) if value.startswith(shared) else Path(value).name

    @property
    def ranked(self) -> bool:
        """Whether it can stand beside others: it has figures, and it is known of what."""
        return self.state != "damaged" and bool(self.last and self.tested_on)

    @functools.cached_property
    def values(self) -> dict[str, float | str]:
        """All that one can sort and filter by: settings, figures and `OWN_KEYS`, where known.

        Figures are there twice: as ``psnr_db`` and ``best.psnr_db`` of whatever split, and as
        ``validation.last.psnr_db`` and ``validation.best.psnr_db``.
        """
        given = self.settings.values.items()
        settings = {k: v for k, v in given if metric_of(k) not in METRICS}
        best = {f"best.{name}": figure for name, figure in self.best.items()}
        split = {}
        if self.tested_on is not None:
            ofs = best | {f"last.{name}": figure for name, figure in self.last.items()}
            split = {f"{self.tested_on.split}.{key}": figure for key, figure in ofs.items()}
        own = {"run": self.label, "state": self.state, "step": self.step, "seconds": self.seconds}
        known = {key: value for key, value in own.items() if value is not None}
        return {**settings, **self.last, **best, **split, **known}


def load(folders: Iterable[str | os.PathLike[str]]) -> list[Record]:
    """The record of every run at or below the folders, each once, with 2 before 10.

    Run folders are not descended into, hidden folders are passed over, and links are followed but
    never in a circle. Labels are the shortest that tell the runs apart: their paths below what
    they share.

    Raises:
        UserError: a folder that is not there or cannot be read, or no run below any of them.
    """
    roots = [expanded(folder) for folder in folders]
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    for folder in roots:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected run folders, or folders of them")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UserError(f"{folder}: cannot be read (permission denied)")
        found += _runs_below(folder.absolute(), seen)
    if not found:
        names = ", ".join(map(str, roots))
        raise UserError(
            f"{names}: no run here or below; a run folder has .hydra/config.yaml and status.json "
            "or metrics.jsonl"
        )
    shared = os.path.commonpath([path.parent for path in found])
    found.sort(key=lambda path: natural(str(path)))
    return [read(path, os.path.relpath(path, shared)) for path in found]


def read(path: Path, label: str) -> Record:
    """The record of a run folder; what is missing or damaged is in its `problem`."""
    record, problems = Record(Run(path), label), []
    parts = {
        ".hydra/overrides.yaml": _overrides,
        ".hydra/config.yaml": _config,
        "status.json": _status,
        "summary.json": _summary,
        "dataset.json": _dataset,
    }
    for name, part in parts.items():
        try:
            if (path / name).exists():
                record = replace(record, **part(record))
        except (UserError, OSError) as error:
            problems.append(str(error).replace(f"{record.run.path}/", ""))
    state = "damaged" if problems else record.state
    problems = [*(problems or _missing(record)), *filter(None, [record.problem])]
    return replace(record, state=state, problem="; ".join(problems) or None)


def natural(text: str) -> list[tuple[int, int | str]]:
    """A sort key that puts 2 before 10."""
    parts = re.split(r"(\d{1,18})", text)
    return [(0, int(p)) if p.isascii() and p.isdigit() else (1, p) for p in parts]


def _runs_below(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    def left_out(error: OSError) -> None:
        log.warning("%s: left out (%s)", error.filename, error.strerror)

    for place, names, files in os.walk(root, followlinks=True, onerror=left_out):
        folder, inside = Path(place), {*names, *files}
        # Links last, so that a folder is named by its own path.
        below = sorted(names, key=lambda n: ((folder / n).is_symlink(), natural(n)))
        names.clear()  # os.walk goes down into those that are in it afterwards
        status = folder.stat()
        if (identity := (status.st_dev, status.st_ino)) in seen:
            continue
        if len(seen) >= MOST_FOLDERS:
            log.warning("%s: more than %d folders; the rest is left out", root, MOST_FOLDERS)
            return
        seen.add(identity)
        # A run that lost its configuration counts, to be reported.
        present = inside & {"status.json", "metrics.jsonl"}
        if len(present) == 2 or (present and (folder / ".hydra" / "config.yaml").exists()):
            yield folder
        elif len(folder.parts) - len(root.parts) < DEEPEST:
            names += [name for name in below if not name.startswith(".")]


def _missing(record: Record) -> list[str]:
    """Notes on files and figures that are not there."""
    path = record.run.path
    files = (".hydra/config.yaml", "status.json")
    notes = [f"{name}: missing" for name in files if not (path / name).exists()]
    if record.state in ("finished", "unknown") and not record.last:
        there = (path / "summary.json").exists()
        notes.append(f"summary.json: {'no figures' if there else 'missing'}")
    if record.last and not record.tested_on:
        what = "no mask_hash, or no fingerprint" if record.dataset else "missing"
        notes.append(f"dataset.json: {what}, so it is not known what was tested on")
    return notes


def _overrides(record: Record) -> dict[str, Any]:
    overrides = read_yaml(record.run.path / ".hydra" / "overrides.yaml")
    if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise UserError(".hydra/overrides.yaml: expected a list of overrides")
    return {"overrides": tuple(overrides)}


def _config(record: Record) -> dict[str, Any]:
    config = read_yaml(record.run.path / ".hydra" / "config.yaml")
    if not isinstance(config, dict):
        raise UserError(".hydra/config.yaml: expected a mapping of keys")
    try:
        return {"settings": Settings.of(config, record.overrides or ())}
    except (ValueError, RecursionError) as error:  # whole numbers of thousands of digits
        raise UserError(f".hydra/config.yaml: not readable ({type(error).__name__})") from None


def _status(record: Record) -> dict[str, Any]:
    status = record.run.status
    state, error = (_given("status.json", status, name, TEXT) for name in ("state", "error"))
    step, seconds = (_given("status.json", status, name, NUMBER) for name in ("step", "seconds"))
    problems = []
    if state is None:
        problems.append("status.json: no state")
    elif (version := _given("status.json", status, "format", NUMBER) or 0) > FORMAT:
        problems.append(f"format {version:g} of a newer ctxenc: there may be more to it than this")
    if state == "running":
        problems.append(_running(record.run.path))
    elif state not in ("finished", None):
        problems.append(" ".join((error or "").split()) or f"{state} at step {step or 0:.0f}")
    return {
        "state": "unknown" if state is None else state[:40],
        "problem": "; ".join(problems) or None,
        "step": None if step is None else int(step),
        "seconds": seconds,
    }


def _running(path: Path) -> str:
    files = (path / "metrics.jsonl", path / "status.json")
    silent = time.time() - max((f.stat().st_mtime for f in files if f.exists()), default=0.0)
    if silent < SILENT_AFTER:
        return "still training"
    return f"nothing written for {silent / 3600:.0f} h: it may have been killed; resume=… goes on"


def _summary(record: Record) -> dict[str, Any]:
    summary = record.run.summary
    named = _given("summary.json", summary, "baselines", MAPPING) or {}
    best = _given("summary.json", summary, "best", MAPPING) or {}
    step = _given("summary.json: best", best, "step", NUMBER)
    return {
        "best_step": None if step is None else int(step),
        "last": _figures("summary.json", summary, "last"),
        "best": _figures("summary.json", summary, "best"),
        "baselines": {name: _figures("summary.json: baselines", named, name) for name in named},
    }


def _figures(where: str, values: Mapping[str, Any], key: str) -> dict[str, float]:
    """The metrics of one test; of those that this version does not know, the numbers."""
    found = _given(where, values, key, MAPPING) or {}
    for metric in found.keys() & METRICS.keys():
        _given(f"{where}: {key}", found, metric, NUMBER)
    return {m: float(v) for m, v in found.items() if m != "step" and is_number(v)}


def _dataset(record: Record) -> dict[str, Any]:
    dataset = record.run.dataset
    split = "validation" if "validation_fingerprint" in dataset else "test"
    keys = ("mask_hash", f"{split}_fingerprint")
    masks, images = (_given("dataset.json", dataset, key, TEXT) for key in keys)
    tested_on = TestedOn(split, masks, images) if masks and images else None
    return {"dataset": dataset, "tested_on": tested_on}


def is_number(value: Any) -> bool:
    """Whether a value from a file is a number that can stand in a table."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= MOST  # False for NaN


Kind = tuple[str, Callable[[Any], bool]]
TEXT: Kind = "text", lambda value: isinstance(value, str)
NUMBER: Kind = "a finite number", is_number
MAPPING: Kind = "figures by name", lambda value: isinstance(value, dict)


def _given(where: str, values: Mapping[str, Any], key: str, kind: Kind) -> Any:
    """A key's value, None where it is missing; a `UserError` where it is of another kind."""
    value, (expected, is_kind) = values.get(key), kind
    if value is None or is_kind(value):
        return value
    words = repr(value)
    words = words if len(words) <= 40 else f"{words[:39]}…"
    raise UserError(f"{where}: {key}={words}: expected {expected}")
