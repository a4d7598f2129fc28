"""One run as a comparison sees it: read without ever failing, whatever is in its folder."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ctxenc.comparison.settings import Settings, read_yaml
from ctxenc.errors import UserError
from ctxenc.runs.folder import Run

STATES = ("finished", "running", "interrupted", "failed")
SILENT_AFTER = 3600  # seconds without a line: a run that says it runs may have been killed
MOST = 2**53  # steps and seconds beyond this are no count

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Metric:
    """A test metric: what it is called, its unit, its decimals, and which way is better."""

    title: str
    unit: str
    decimals: int
    higher_is_better: bool

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.title} {self.unit}".strip()


METRICS = {  # those of `ctxenc.metrics.per_image.NAMES`, known here without importing JAX
    "psnr_db": Metric("PSNR", "dB", 2, True),
    "ssim": Metric("SSIM", "", 3, True),
    "l1_percent": Metric("L1", "%", 2, False),
    "l2_percent": Metric("L2", "%", 2, False),
    "psnr_pooled_db": Metric("pooled PSNR", "dB", 2, True),
}


@dataclass(frozen=True, eq=False)
class Record:
    """One run. `state` is one of `STATES` or ``damaged``; `problem` says why it is not finished.

    `last`, `best` and `baselines` are empty where there is no test yet. `tested_on` is the hash of
    the test masks and the fingerprint of the test images.
    """

    run: Run
    label: str
    state: str
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
    run, problems = Run(path), []
    record = Record(run, label, "damaged")
    for part in (_overrides, _config, _status, _summary, _dataset):
        try:
            record = replace(record, **part(record))
        except (UserError, OSError) as error:
            problems.append(str(error).replace(f"{run.path}/", ""))
    if problems:
        told = [record.problem] if record.problem and record.state != "damaged" else []
        return replace(record, state="damaged", problem="; ".join([*problems, *told]))
    return record


def _overrides(record: Record) -> dict[str, Any]:
    file = record.run.path / ".hydra" / "overrides.yaml"
    if not file.exists():
        return {}
    overrides = read_yaml(file)
    if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise UserError(".hydra/overrides.yaml: it takes a list of overrides")
    return {"overrides": tuple(overrides)}


def _config(record: Record) -> dict[str, Any]:
    config = read_yaml(record.run.path / ".hydra" / "config.yaml")
    if not isinstance(config, dict):
        raise UserError(".hydra/config.yaml: it takes a mapping of keys")
    try:
        return {"settings": Settings.of(config, record.overrides or ())}
    except (ValueError, RecursionError) as error:  # whole numbers of thousands of digits
        raise UserError(f".hydra/config.yaml: not readable ({type(error).__name__})") from None


def _status(record: Record) -> dict[str, Any]:
    if not (record.run.path / "status.json").exists():
        raise UserError("status.json: missing")
    status = record.run.status
    state, error = status.get("state"), status.get("error")
    if state not in STATES:
        raise UserError(f"status.json: state={_shown(state)}: it takes {', '.join(STATES)}")
    step, seconds = (_number("status.json", name, status) for name in ("step", "seconds"))
    problem = None
    if state == "running":
        problem = _running(record.run.path)
    elif state != "finished":
        reason = " ".join(error.split()) if isinstance(error, str) else ""
        problem = reason or f"stopped at step {step:.0f}"
    return {"state": state, "problem": problem, "step": int(step), "seconds": seconds}


def _running(path: Path) -> str:
    files = (path / "metrics.jsonl", path / "status.json")
    written = [file.stat().st_mtime for file in files if file.exists()]
    silent = time.time() - max(written, default=0.0)
    if silent < SILENT_AFTER:
        return "still training"
    return f"nothing written for {silent / 3600:.0f} h: it may have been killed; resume=… goes on"


def _summary(record: Record) -> dict[str, Any]:
    if not (record.run.path / "summary.json").exists():
        if record.state == "finished":
            raise UserError("summary.json: missing")
        return {}
    summary = record.run.summary
    figures = {name: _figures(name, summary.get(name)) for name in ("last", "best")}
    baselines = summary.get("baselines", {})
    if not isinstance(baselines, dict):
        raise UserError(f"summary.json: baselines={_shown(baselines)}: it takes figures by name")
    return {
        **figures,
        "baselines": {n: _figures(f"baselines.{n}", found) for n, found in baselines.items()},
    }


def _figures(name: str, found: Any) -> dict[str, float]:
    if not isinstance(found, dict):
        raise UserError(f"summary.json: {name}={_shown(found)}: it takes the test figures")
    values = {m: _number("summary.json", m, found, f"{name}.") for m in METRICS}
    if "step" in found:
        values["step"] = _number("summary.json", "step", found, f"{name}.")
    return values


def _dataset(record: Record) -> dict[str, Any]:
    if not (record.run.path / "dataset.json").exists():
        if record.last:
            raise UserError("dataset.json: missing, so it is not known what was tested on")
        return {}
    dataset = record.run.dataset
    known = dataset.get("mask_hash"), dataset.get("test_fingerprint")
    if not all(isinstance(part, str) and part for part in known):
        if record.last:
            raise UserError("dataset.json: mask_hash and test_fingerprint are not both there")
        return {}
    return {"dataset": dataset, "tested_on": known}


def _number(file: str, key: str, values: Mapping[str, Any], prefix: str = "") -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        raise UserError(f"{file}: {prefix}{key}={_shown(value)}: it takes a number")
    return float(value)


def _shown(value: Any) -> str:
    words = "missing" if value is None else repr(value)
    return words if len(words) <= 40 else f"{words[:39]}…"
