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

from ctxenc.comparison import records
from ctxenc.comparison.records import Record
from ctxenc.config.compose import PRIMARY
from ctxenc.errors import UserError
from ctxenc.runs import files
from ctxenc.runs.files import write_text
from ctxenc.runs.folder import FORMAT, Run

FILE = "sweep.json"
JOB = re.compile(r"(\d+)(?:-|$)")  # how a job's folder is named


class Sweep:
    """One sweep's folder. Opening it reads nothing."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).expanduser().absolute()

    @classmethod
    def there(cls, path: str | os.PathLike[str]) -> bool:
        """Whether a folder is a sweep's."""
        return (cls(path).path / FILE).is_file()

    @property
    def command(self) -> list[str]:
        """The overrides that it was started with."""
        command = self._read().get("command")
        if not isinstance(command, list) or not all(isinstance(text, str) for text in command):
            raise UserError(f"{self.path / FILE}: command: expected a list of overrides")
        return command

    @property
    def config_name(self) -> str:
        """The configuration file that it begins with."""
        return str(self._read().get("config_name", PRIMARY))

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """By its folder's name, each job that has begun: `overrides`, `state`, `error`, `last`."""
        rows = self._read().get("jobs")
        found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return {str(row.get("folder")): row for row in found}

    def jobs(self) -> list[Record]:
        """The run of each job that has begun, by its number; read without ever failing."""
        return [records.read(self.path / name, name) for name in self._folders()]

    def refresh(self, **changes: Any) -> list[Record]:
        """Write every job's row anew, and perhaps `command`, `planned`, `config_name`.

        Returns:
            The jobs.
        """
        with self._writing():
            jobs = self.jobs()
            self._write(jobs, **changes)
        return jobs

    def update(self, run: Run) -> None:
        """Write one job's row anew."""
        with self._writing():
            self._write([records.read(run.path, run.path.name)])

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from working on the sweep; the lock dies with its process.

        Raises:
            UserError: another process has it.
        """
        try:
            with filelock.FileLock(self.path / ".lock", blocking=False):
                yield
        except filelock.Timeout:
            raise UserError(f"{self.path}: another process is at work on this sweep") from None

    def _folders(self) -> list[str]:
        found = {p.name: m for p in self.path.iterdir() if (m := JOB.match(p.name)) and p.is_dir()}
        return sorted(found, key=lambda name: int(found[name][1]))

    def _writing(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.path / ".writing.lock")

    def _write(self, jobs: Sequence[Record], **changes: Any) -> None:
        """Change some keys and the rows of some jobs; what else is there stays."""
        before, rows = (self._read(), self.rows) if Sweep.there(self.path) else ({}, {})
        for job in jobs:
            rows[job.label] = {**rows.get(job.label, {}), **_row(job)}
        kept = [rows[name] for name in self._folders() if name in rows]
        value = {"format": FORMAT, **before, **changes, "jobs": kept}
        write_text(self.path / FILE, json.dumps(value, indent=2) + "\n")

    def _read(self) -> dict[str, Any]:
        file = self.path / FILE
        try:
            value = json.loads(files.read_text(file, files.MOST_JSON))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{file}: not readable as JSON ({type(error).__name__})") from None
        if not isinstance(value, dict):
            raise UserError(f"{file}: expected a JSON object")
        return value


def _row(job: Record) -> dict[str, Any]:
    row = {"folder": job.label, "overrides": job.overrides or (), "state": job.state}
    return row | {"error": job.problem, "step": job.step, "seconds": job.seconds, "last": job.last}
