"""One run as a comparison sees it: read without ever failing, whatever is in its folder.

What is missing is a blank and a note. "Damaged" is only what is there and cannot be read: torn
JSON, or a value of the wrong type. What a newer version wrote is kept.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ctxenc.comparison.figures import Figures
from ctxenc.comparison.settings import Settings, read_yaml
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS
from ctxenc.runs.folder import Run

SILENT_AFTER = 3600  # seconds without a line: a run that says it runs may have been killed
MOST = 2**53  # steps and seconds beyond this are no count


@dataclass(frozen=True, eq=False)
class Record:
    """One run; what its folder does not say is None or empty.

    `state` is that of ``status.json``, ``damaged``, or ``unknown``; `problem` says what is missing
    or damaged, and why it is not finished. `last`, `best` and `baselines` have the figures of
    metrics that this version does not know too. `tested_on` is the hash of the test masks and the
    fingerprint of the test images.
    """

    run: Run
    label: str
    state: str = "unknown"
    problem: str | None = None
    step: int | None = None
    seconds: float | None = None
    settings: Settings = field(default_factory=lambda: Settings({}, frozenset()))
    overrides: tuple[str, ...] | None = None
    last: Figures = field(default_factory=dict)
    best: Figures = field(default_factory=dict)
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    tested_on: tuple[str, str] | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ranked(self) -> bool:
        """Whether it can stand beside others: it has figures, and it is known of what."""
        return self.state != "damaged" and bool(self.last) and self.tested_on is not None


def read(path: Path, label: str) -> Record:
    """The record of a run folder; what is missing or damaged is in its `problem`."""
    record, damage = Record(Run(path), label), []
    for name, part in PARTS.items():
        try:
            if (path / name).exists():
                record = replace(record, **part(record))
        except (UserError, OSError) as error:
            damage.append(str(error).replace(f"{record.run.path}/", ""))
    problems = [*damage, *([] if damage else _missing(record))]
    problems += [record.problem] if record.problem else []
    state = "damaged" if damage else record.state
    return replace(record, state=state, problem="; ".join(problems) or None)


def _missing(record: Record) -> list[str]:
    """What a comparison would have liked to know."""
    path, notes = record.run.path, []
    for name in (".hydra/config.yaml", "status.json"):
        notes += [] if (path / name).exists() else [f"{name}: missing"]
    if record.state in ("finished", "unknown") and not record.last:
        there = (path / "summary.json").exists()
        notes.append(f"summary.json: {'no test figures' if there else 'missing'}")
    if record.last and record.tested_on is None:
        what = "no mask_hash and test_fingerprint" if record.dataset else "missing"
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
    known = {"step": None if step is None else int(step), "seconds": seconds}
    if state is None:
        return {**known, "problem": "status.json: no state"}
    problem = None
    if state == "running":
        problem = _running(record.run.path)
    elif state != "finished":
        problem = " ".join((error or "").split()) or f"{state} at step {step or 0:.0f}"
    return {**known, "state": state[:40], "problem": problem}


def _running(path: Path) -> str:
    files = (path / "metrics.jsonl", path / "status.json")
    written = [file.stat().st_mtime for file in files if file.exists()]
    silent = time.time() - max(written, default=0.0)
    if silent < SILENT_AFTER:
        return "still training"
    return f"nothing written for {silent / 3600:.0f} h: it may have been killed; resume=… goes on"


def _summary(record: Record) -> dict[str, Any]:
    summary = record.run.summary
    named = _given("summary.json", summary, "baselines", MAPPING) or {}
    return {
        "last": _figures("summary.json", summary, "last"),
        "best": _figures("summary.json", summary, "best"),
        "baselines": {name: _figures("summary.json: baselines", named, name) for name in named},
    }


def _figures(where: str, values: Mapping[str, Any], key: str) -> dict[str, float]:
    """The metrics of one test; of those that this version does not know, the numbers."""
    found = _given(where, values, key, MAPPING) or {}
    for metric in found.keys() & METRICS.keys():
        _given(f"{where}: {key}", found, metric, NUMBER)
    return {m: float(v) for m, v in found.items() if m != "step" and _is_number(v)}


def _dataset(record: Record) -> dict[str, Any]:
    dataset = record.run.dataset
    known = [_given("dataset.json", dataset, k, TEXT) for k in ("mask_hash", "test_fingerprint")]
    return {"dataset": dataset, "tested_on": tuple(known) if all(known) else None}


PARTS = {
    ".hydra/overrides.yaml": _overrides,
    ".hydra/config.yaml": _config,
    "status.json": _status,
    "summary.json": _summary,
    "dataset.json": _dataset,
}


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= MOST  # which not-a-number is not


TEXT, NUMBER, MAPPING = "text", "a finite number", "figures by name"
KINDS = {
    TEXT: lambda value: isinstance(value, str),
    NUMBER: _is_number,
    MAPPING: lambda value: isinstance(value, dict),
}


def _given(where: str, values: Mapping[str, Any], key: str, kind: str) -> Any:
    """A key's value, None where it is missing; a `UserError` where it is of another kind."""
    value = values.get(key)
    if value is None or KINDS[kind](value):
        return value
    words = repr(value)
    words = words if len(words) <= 40 else f"{words[:39]}…"
    raise UserError(f"{where}: {key}={words}: expected {kind}")
