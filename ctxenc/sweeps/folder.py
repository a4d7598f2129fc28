"""A sweep's folder: the run folders of its jobs, and ``sweep.json``, which says how each stands.

Jobs may run in several processes, and on several machines that share a disk: each writes its own
row as it begins and ends, under a lock, and a killed sweep leaves the rows of what it did.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from ctxenc.comparison import records
from ctxenc.comparison.records import Record
from ctxenc.config.schema import PRIMARY
from ctxenc.errors import UserError
from ctxenc.paths import expanded
from ctxenc.run_folder import files
from ctxenc.run_folder.files import COUNT, TEXT
from ctxenc.run_folder.folder import FORMAT, Run

FILE = "sweep.json"
SCHEMA = {"command": [TEXT], "format": COUNT, "config_name": TEXT}
MOST, MOST_TEXT = 500, 2**16  # overrides of a command and their characters, parsed in seconds
JOB = re.compile(r"(\d+)(?:-|$)")  # how a job's folder is named


class Sweep:
    """One sweep's folder. Opening it reads nothing."""

    def __init__(self, path: str | Path):
        self.path = expanded(path).absolute()

    @property
    def exists(self) -> bool:
        """Whether the folder is a sweep's."""
        return (self.path / FILE).is_file()

    @property
    def command(self) -> list[str]:
        """The overrides that it was started with."""
        command: list[str] | None = self._saved.get("command")
        if command is None or len(command) > MOST or sum(map(len, command)) > MOST_TEXT:
            raise UserError(
                f"{self.path / FILE}: command: expected a list of at most {MOST} overrides, of "
                f"{MOST_TEXT} characters together"
            )
        return command

    @property
    def format(self) -> int:
        """The format of its folders (`run_folder.folder.FORMAT`); 0 where the file says none."""
        return self._saved.get("format") or 0

    @property
    def planned(self) -> int:
        """How many jobs it has, begun or not; 0 where the file does not say."""
        planned = self._saved.get("planned")
        return planned if COUNT.holds(planned) else 0

    @property
    def config_name(self) -> str:
        """The configuration file that it begins with."""
        return self._saved.get("config_name") or PRIMARY

    @property
    def _saved(self) -> Any:
        return files.read_json(self.path / FILE, SCHEMA)

    def update(self, only: Run | None = None, **changes: Any) -> list[Record]:
        """Write anew the row of one job, or of all; and `command`, `planned` or `config_name`.

        Returns:
            Their runs, in the order of the jobs' numbers.
        """
        with filelock.FileLock(self.path / ".writing.lock"):
            places = self.path.iterdir()
            numbers = {p.name: int(m[1]) for p in places if (m := JOB.match(p.name)) and p.is_dir()}
            names = sorted(numbers, key=lambda name: numbers[name])
            changed = [only.path.name] if only else names
            for name in changed:  # where Hydra writes
                Run(self.path).own(f"{name}/.hydra")
            jobs = [records.read(self.path / name, name) for name in changed]
            before = self._saved if self.exists else {}
            old = before["jobs"] if isinstance(before.get("jobs"), list) else []
            rows = {str(row.get("folder")): row for row in old if isinstance(row, dict)}
            for job in jobs:
                rows[job.label] = rows.get(job.label, {}) | {
                    "folder": job.label,
                    "overrides": job.overrides or (),
                    "state": job.state,
                    "error": job.problem,
                    "step": job.step,
                    "seconds": job.seconds,
                    "last": job.last,
                }
            kept = [rows[name] for name in names if name in rows]
            value = {"format": FORMAT, **before, **changes, "jobs": kept}
            files.write_json(self.path / FILE, value)
        return jobs

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
