"""A sweep's folder: the run folders of its jobs, and ``sweep.json``, which says how each stands.

Jobs may run in several processes, and on several machines that share a disk: each writes its own
row as it begins and ends, under a lock, and a killed sweep leaves the rows of what it did.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from ctxenc.comparison import discovery, records
from ctxenc.comparison.records import Record
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS
from ctxenc.runs import safe_read
from ctxenc.runs.folder import Run, write_text

FILE = "sweep.json"


class Sweep:
    """One sweep's folder. Opening it reads nothing."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).absolute()

    @classmethod
    def there(cls, path: str | os.PathLike[str]) -> bool:
        """Whether a folder is a sweep's."""
        return (Path(path).expanduser() / FILE).is_file()

    @property
    def command(self) -> list[str]:
        """The overrides that it was started with."""
        command = self._read().get("command")
        if not isinstance(command, list) or not all(isinstance(text, str) for text in command):
            raise UserError(f"{self.path / FILE}: command: it takes a list of overrides")
        return command

    @property
    def planned(self) -> int:
        """How many jobs it is to have."""
        planned = self._read().get("planned")
        if isinstance(planned, bool) or not isinstance(planned, int):
            raise UserError(f"{self.path / FILE}: planned={planned!r}: it takes a whole number")
        return planned

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each job that has begun: its `folder`, `overrides`, `state`, `error`, `last`."""
        rows = self._read().get("jobs")
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def jobs(self) -> list[Record]:
        """The run of each job that has begun, by its number; read without ever failing."""
        numbered = (p for p in self.path.iterdir() if p.is_dir() and re.match(r"\d+(-|$)", p.name))
        ordered = sorted(numbered, key=lambda path: discovery.natural(path.name))
        return [records.read(path, path.name) for path in ordered]

    def begin(self, command: Sequence[str], planned: int) -> None:
        """Write ``sweep.json`` with a row for each job that has a folder."""
        with self._writing():
            self._write(command, planned, [_row(job) for job in self.jobs()])

    def refresh(self) -> list[Record]:
        """Write every job's row anew, and return the jobs."""
        with self._writing():
            jobs = self.jobs()
            self._write(self.command, self.planned, [_row(job) for job in jobs])
        return jobs

    def update(self, run: Run) -> None:
        """Write one job's row anew."""
        with self._writing():
            row = _row(records.read(run.path, run.path.name))
            others = [other for other in self.rows if other.get("folder") != row["folder"]]
            rows = sorted([*others, row], key=lambda r: discovery.natural(str(r.get("folder"))))
            self._write(self.command, self.planned, rows)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from taking the sweep up; the lock dies with its process.

        Raises:
            UserError: another process is at it.
        """
        try:
            with filelock.FileLock(self.path / ".lock", blocking=False):
                yield
        except filelock.Timeout:
            raise UserError(f"{self.path}: another process is at work on this sweep") from None

    def _writing(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.path / ".writing.lock")

    def _write(self, command: Sequence[str], planned: int, rows: list[dict[str, Any]]) -> None:
        value = {"command": list(command), "planned": planned, "jobs": rows}
        write_text(self.path / FILE, json.dumps(value, indent=2) + "\n")

    def _read(self) -> dict[str, Any]:
        file = self.path / FILE
        try:
            value = json.loads(safe_read.text(file, safe_read.MOST_JSON))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{file}: not readable as JSON ({type(error).__name__})") from None
        if not isinstance(value, dict):
            raise UserError(f"{file}: it takes a JSON object")
        return value


def _row(job: Record) -> dict[str, Any]:
    return {
        "folder": job.label,
        "overrides": list(job.overrides or ()),
        "state": job.state,
        "error": job.problem,
        "step": job.step,
        "seconds": job.seconds,
        "last": {name: job.last[name] for name in METRICS if name in job.last},
    }
