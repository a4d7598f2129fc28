"""The runs below some folders as a comparison sees them: read without failing, whatever is in them.

What is missing is a blank and a note. "Damaged" is only what is there and cannot be read: torn
JSON, or a value of the wrong type. What a newer version wrote is kept.
"""

import functools
import logging
import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ctxenc.comparison import probed
from ctxenc.comparison.figures import Figures, metric_of
from ctxenc.comparison.probed import Probed
from ctxenc.comparison.settings import Settings
from ctxenc.config import schema
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS
from ctxenc.paths import expanded
from ctxenc.probing.folder import Probe
from ctxenc.run_folder import files
from ctxenc.run_folder.folder import FORMAT, Run

log = logging.getLogger(__name__)

MOST_FOLDERS = 50_000  # looked into; a link to / must not take for ever
DEEPEST = 12  # levels
MANY = 2000  # runs: reading them takes longer than starting processes
CHUNK = 250  # runs that a process reads at a time; they share the texts of their settings
KILLED = "no process here trains it any more; resume=… goes on"
OWN_KEYS = ("run", "state", "step", "seconds")  # of `Record.values`


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
    names. `best_step` is the step of `best`. `probed` is what its encoder has learned of classes.
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
    probed: Probed | None = None

    def shown(self, key: str, value: str) -> str:
        """The value of a setting as people see it.

        Of the path of another run that is what labels are, its part below what the runs share; of
        one that is elsewhere, its last part.
        """
        if (known := schema.keys().get(key)) is None or not known.folder:
            return value
        shared = str(self.run.path).removesuffix(self.label)
        return value.removeprefix(shared) if value.startswith(shared) else Path(value).name

    def called(self, saved: Mapping[str, Any]) -> str:
        """A checkpoint of the run, by an evaluation's or probe's account of it, as people see it.

        ``best``, ``latest`` or a step, and ``raw`` where the run has averaged weights and these are
        not.
        """
        which, step = (str(saved.get(key, ""))[:20] for key in ("which", "step"))
        averaged = self.settings.values.get("ema_decay", "null") != "null"
        last_of = {"best": self.best_step, "latest": self.step}.get(which)
        went_on = last_of is not None and step not in ("", str(last_of))
        words = [f"step {step}"] if went_on else [] if which in ("", "best") else [which]
        # There were only raw ones, before there were others.
        words += ["raw"] if averaged and (saved.get("weights") or "raw") == "raw" else []
        return ", ".join(words) or "best"

    @property
    def ranked(self) -> bool:
        """Whether it can stand beside others: it has figures, and it is known of what."""
        return self.state != "damaged" and bool(self.last and self.tested_on)

    @functools.cached_property
    def values(self) -> dict[str, float | str]:
        """All that one can sort and filter by: settings, figures and `OWN_KEYS`, where known.

        Figures are there twice: as ``psnr_db`` and ``best.psnr_db`` of whatever split, and as
        ``validation.last.psnr_db`` and ``validation.best.psnr_db``. A probe's are as
        ``probe.linear``.
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
        features = {} if self.probed is None else self.probed.figures
        return {**settings, **self.last, **best, **split, **features, **known}


def load(folders: Iterable[str | os.PathLike[str]], *, workers: int = 1) -> list[Record]:
    """The record of every run that `find` finds; of many, read by so many processes.

    With more than one, a script that calls this must be safe to import, as `multiprocessing` says.
    """
    found = find(folders)
    if workers == 1 or len(found) < MANY:
        return [read(path, label) for path, label in found.items()]
    spawn = multiprocessing.get_context("spawn")  # threads, such as JAX's, do not survive a fork
    with ProcessPoolExecutor(workers, spawn) as pool:
        return list(pool.map(read, found, found.values(), chunksize=CHUNK))


def find(folders: Iterable[str | os.PathLike[str]], *, needed: bool = True) -> dict[Path, str]:
    """Every run at or below the folders, each once, with 2 before 10, and its label.

    Run folders are not descended into, hidden folders are passed over, and links are followed but
    never in a circle. Labels are the shortest that tell the runs apart: their paths below what
    they share.

    Raises:
        UserError: a folder that is not there or cannot be read, or, where a run is `needed`, none
            below any of them.
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
    if not found and not needed:
        return {}
    if not found:
        names = ", ".join(map(str, roots))
        raise UserError(
            f"{names}: no run here or below; a run folder has .hydra/config.yaml and status.json "
            "or metrics.jsonl"
        )
    shared = os.path.commonpath([path.parent for path in found])
    found.sort(key=lambda path: natural(str(path)))
    return {path: os.path.relpath(path, shared) for path in found}


def read(path: Path, label: str) -> Record:
    """The record of a run folder; what is missing or damaged is in its `problem`."""
    record, problems = Record(Run(path), label), []
    parts = {
        ".hydra/overrides.yaml": _overrides,
        ".hydra/config.yaml": _config,
        "status.json": _status,
        "summary.json": _summary,
        "dataset.json": _dataset,
        Probe.folder: lambda record: {"probed": probed.read(record)},
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


def order(value: float | str) -> tuple[int, float, list[tuple[int, int | str]]]:
    """A sort key for a key's values: numbers by size, then texts, 2 before 10."""
    return (1, 0.0, natural(value)) if isinstance(value, str) else (0, value, [])


def _runs_below(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    def left_out(error: OSError) -> None:
        _left_out(error.filename, error.strerror)

    for place, names, others in os.walk(root, followlinks=True, onerror=left_out):
        folder, inside = Path(place), {*names, *others}
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


@functools.cache  # told once, however often one looks
def _left_out(folder: str, why: str) -> None:
    log.warning("%s: left out (%s)", folder, why)


def _missing(record: Record) -> list[str]:
    """Notes on files and figures that are not there."""
    path = record.run.path
    needed = (".hydra/config.yaml", "status.json")
    notes = [f"{name}: missing" for name in needed if not (path / name).exists()]
    if record.state in ("finished", "unknown") and not record.last:
        there = (path / "summary.json").exists()
        notes.append(f"summary.json: {'no figures' if there else 'missing'}")
    if record.last and not record.tested_on:
        what = "no mask_hash, or no fingerprint" if record.dataset else "missing"
        notes.append(f"dataset.json: {what}, so it is not known what was tested on")
    return notes


def _overrides(record: Record) -> dict[str, Any]:
    file = record.run.path / ".hydra" / "overrides.yaml"
    return {"overrides": tuple(files.read_yaml(file, [files.TEXT]))}


def _config(record: Record) -> dict[str, Any]:
    config = files.read_yaml(record.run.path / ".hydra" / "config.yaml", {})
    return {"settings": Settings.of(config, record.overrides or ())}


def _status(record: Record) -> dict[str, Any]:
    status = record.run.status
    state, step, problems = status.get("state"), status.get("step"), []
    if state is None:
        problems.append("status.json: no state")
    elif (version := status.get("format") or 0) > FORMAT:
        problems.append(f"format {version} of a newer ctxenc: there may be more to it than this")
    if state == "running" and record.run.is_locked:
        problems.append("still training")
    elif state == "running":
        state = "killed"
        problems.append(KILLED)
    elif state not in ("finished", None):
        error = " ".join((status.get("error") or "").split())
        problems.append(error or f"{state} at step {step or 0}")
    return {
        "state": "unknown" if state is None else state[:40],
        "problem": "; ".join(problems) or None,
        "step": step,
        "seconds": status.get("seconds"),
    }


def _summary(record: Record) -> dict[str, Any]:
    summary = record.run.summary
    named = summary.get("baselines") or {}
    return {
        "best_step": (summary.get("best") or {}).get("step"),
        "last": _figures(summary, "last"),
        "best": _figures(summary, "best"),
        "baselines": {name: _figures(named, name) for name in named},
    }


def _figures(values: Mapping[str, Any], key: str) -> dict[str, float]:
    """The metrics of one test; of those that this version does not know, the numbers."""
    found = values.get(key) or {}
    return {m: float(v) for m, v in found.items() if m != "step" and files.is_number(v)}


def _dataset(record: Record) -> dict[str, Any]:
    dataset = record.run.dataset
    split = "validation" if "validation_fingerprint" in dataset else "test"
    keys = ("mask_hash", f"{split}_fingerprint")
    masks, images = map(dataset.get, keys)
    tested_on = TestedOn(split, masks, images) if masks and images else None
    return {"dataset": dataset, "tested_on": tested_on}
