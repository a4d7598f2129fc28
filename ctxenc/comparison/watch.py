"""Runs and sweeps followed while they train: how each job stands, and how long all will take.

Of a job that has not changed, the times of three files are looked at, so 1,000 can be followed.
"""

import contextlib
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ctxenc.comparison import figures, records, terminal
from ctxenc.comparison.tables import Cell, Column, Row, Table
from ctxenc.errors import UserError
from ctxenc.run_folder import files
from ctxenc.run_folder.folder import Run
from ctxenc.sweeps.folder import Sweep

SECONDS = 2.0  # between looks
SHARE = 0.1  # of the time, at most, is taken by looking
TAIL = 2**15  # bytes of metrics.jsonl: its last lines
FILES = ("status.json", "summary.json", "metrics.jsonl")  # that say how a run stands
LENGTH = dict.fromkeys(("max_steps", "n_epoch", "batch_size"), files.COUNT)
STATES = ("running", "failed", "killed", "interrupted", "finished")  # the most telling first
COLUMNS = {"run": "run", "state": "status", "step": "step", "seconds": "time", "left": "left"}


@dataclass(frozen=True)
class Job:
    """One run as it stands. `since` is when its status was written, `seconds` into the run.

    `figure` is the metric that is followed, of the last validation. Where it is known, `ends` is
    when a running job will end, and `takes` how long all of it takes. All times are in seconds.
    """

    label: str
    state: str
    step: int
    seconds: float
    error: str | None
    since: float = 0.0
    figure: float | None = None
    total_steps: int = 0
    ends: float | None = None
    takes: float | None = None


def telling(job: Job) -> tuple[int, float]:
    """A key to sort jobs by: by their states the most telling first, of each the latest."""
    return STATES.index(job.state) if job.state in STATES else 1, -job.since


class Watcher:
    """All jobs below some folders, as they stood when `look` was called last; `active`, if some do.

    Of a sweep, jobs that have not begun count, too. `metric` is what is followed; `paths` are the
    folders of the `jobs`.
    """

    def __init__(self, folders: Sequence[str], metric: str):
        self._folders, self._metric = folders, metric
        self._known: dict[Path, tuple[list[str], Job]] = {}  # with the times of its files
        self.jobs: list[Job] = []
        self.paths: list[Path] = []
        self.active = False

    def look(self) -> None:
        """Read what has changed; a `UserError` where there is neither a run nor a sweep."""
        begins = any(Sweep(folder).exists for folder in self._folders)  # though no job has yet
        found = records.find(self._folders, needed=not begins)
        self._now = time.time()
        self.paths = list(found)
        self.jobs = [self._job(Run(path), label) for path, label in found.items()]
        self.active = any(job.state == "running" for job in self.jobs)
        begun = Counter(path.parent for path in found)
        self._counts = Counter(job.state for job in self.jobs)
        for sweep in map(Sweep, {*begun, *(Sweep(folder).path for folder in self._folders)}):
            at_work = sweep.exists and Run(sweep.path).is_locked
            self.active |= at_work
            with contextlib.suppress(UserError):
                to_come = max(0, sweep.planned - begun[sweep.path])
                self._counts["waiting" if at_work else "not begun"] += to_come

    @property
    def title(self) -> str:
        """How many jobs stand how, and how long all of them will take, if that is known."""
        order = dict.fromkeys(("finished", "running", "waiting", *STATES, *self._counts))
        parts = [f"{self._counts[state]:,} {state}" for state in order if self._counts[state]]
        known = [job.takes for job in self.jobs if job.takes is not None]
        if self.active and known:
            usual, running = statistics.mean(known), [j for j in self.jobs if j.state == "running"]
            left = [usual if j.ends is None else max(0.0, j.ends - self._now) for j in running]
            together = (sum(left) + self._counts["waiting"] * usual) / max(1, len(left))
            parts.append(f"about {figures.duration(max([together, *left]))} left")
        count = self._counts.total()
        return f"{count:,} job{'s' * (count != 1)}: {', '.join(parts)}"

    def text(self, jobs: Sequence[Job]) -> str:
        """Tables of some of the jobs, and of why those of them that did not finish did not."""
        hidden = len(self.jobs) - len(jobs)
        notes = [f"{hidden:,} more not shown."] if hidden else []
        titles = COLUMNS | {"figure": f"last {figures.heading(self._metric)}"}
        columns = [Column(k, title, k not in ("run", "state")) for k, title in titles.items()]
        rows = [self.row(job) for job in jobs]
        why = [Column("run", "run"), Column("error", "reason")]
        troubled = [row for row in rows if row["error"].text]
        found = [Table("jobs", self.title, notes, columns, rows)]
        found += [Table("trouble", "Not finished", (), why, troubled)] if troubled else []
        return terminal.text(found)

    def fitting(self) -> str:
        """The tables of as many jobs as the terminal has room for, the most telling first."""
        jobs = sorted(self.jobs, key=telling)
        lines = shutil.get_terminal_size().lines - 1
        jobs = jobs[:lines]
        while (over := (text := self.text(jobs)).count("\n") + 1 - lines) > 0 and len(jobs) > 1:
            jobs = jobs[: max(1, len(jobs) - over)]
        return text

    def row(self, job: Job) -> Row:
        """One job's line of the table, with its `error`."""
        running, of = job.state == "running", f"/{job.total_steps:,}" if job.total_steps else ""
        seconds = job.seconds + (max(0.0, self._now - job.since) if running else 0.0)
        left = "" if job.ends is None else figures.duration(max(0.0, job.ends - self._now))
        figure = "" if job.figure is None else figures.shown(self._metric, job.figure)
        cells = [job.label, job.state, f"{job.step:,}{of}", figures.duration(seconds), left, figure]
        cells.append(" ".join((job.error or "").split()))
        return dict(zip((*COLUMNS, "figure", "error"), map(Cell.of, cells), strict=True))

    def _job(self, run: Run, label: str) -> Job:
        """A run, read again where its files have changed."""
        stamp = [label]
        for name in FILES:
            with contextlib.suppress(OSError):
                stamp.append(f"{name} {(run.path / name).stat().st_mtime_ns}")
        if run.path not in self._known or self._known[run.path][0] != stamp:
            self._known[run.path] = stamp, _read(run, label, self._metric)
        job = self._known[run.path][1]
        if job.state == "running" and not run.is_locked:
            return replace(job, state="killed", ends=None, takes=None, error=records.KILLED)
        return job


def watch(folders: Sequence[str], metric: str) -> None:
    """Show how the runs below some folders stand until nobody is at work on them any more.

    A terminal has one table, always new; what is no terminal is given all jobs first and last, and
    meanwhile those that have begun, ended or been validated.

    Raises:
        UserError: a folder that cannot be read, or neither a run nor a sweep in any.
    """
    live = Live(console=Console(file=sys.stdout), auto_refresh=False, redirect_stdout=False)
    watcher, before = Watcher(folders, metric), set[tuple[str, str, float | None]]()
    with live if sys.stdout.isatty() else contextlib.nullcontext():
        while True:
            began = time.monotonic()
            watcher.look()
            stands = {(job.label, job.state, job.figure): job for job in watcher.jobs}
            new = [job for key, job in stands.items() if key not in before or not watcher.active]
            if live.is_started:
                text = watcher.fitting() if watcher.active else watcher.text(watcher.jobs)
                live.update(Text.from_ansi(text, no_wrap=True), refresh=True)
            elif new or not watcher.active:
                print(watcher.text(new), flush=True)
            if not watcher.active:
                return
            before = set(stands)
            time.sleep(max(SECONDS, (time.monotonic() - began) / SHARE))


def _read(run: Run, label: str, metric: str) -> Job:
    """What is damaged, or not known as before a run's first lines, is left out."""
    status = run.known_status
    job = Job(label, **status | {"state": status["state"] or "unknown"})
    with contextlib.suppress(UserError, OSError):
        job = replace(job, since=(run.path / FILES[0]).stat().st_mtime)
        job = replace(job, figure=(run.summary.get("last") or {}).get(metric))
    if job.state == "finished":
        return replace(job, takes=job.seconds)
    with contextlib.suppress(UserError, OSError):
        return _under_way(job, run) if job.state == "running" else job
    return job


def _under_way(job: Job, run: Run) -> Job:
    """With its step by now, of how many, and when it will end at the latest rate."""
    config = files.read_yaml(run.path / ".hydra" / "config.yaml", LENGTH)
    images, batch = run.dataset.get("train_images", 0), config.get("batch_size") or 1
    epochs = (config.get("n_epoch") or 0) * (images // batch if files.COUNT.holds(images) else 0)
    total = config.get("max_steps") or epochs  # as `Intervals.of`
    line = (run.lines("train", TAIL) or [{}])[-1]
    step, rate = max(job.step, line.get("step", 0)), line.get("images_per_second", 0)
    takes = total * batch / rate if files.is_number(rate) and rate > 0 else 0.0
    ends = None
    if takes and files.is_number(takes):
        ends = (run.path / FILES[2]).stat().st_mtime + (1 - step / total) * takes
    return replace(job, step=step, total_steps=total, ends=ends, takes=takes if ends else None)
