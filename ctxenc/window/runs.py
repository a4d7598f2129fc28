"""The tab of runs: what is below a folder, live, and the comparison of those that are chosen."""

import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

from ctxenc.comparison import (
    card,
    comparison_table,
    figures,
    importance,
    page,
    paired,
    records,
    sections,
)
from ctxenc.comparison.watch import COLUMNS, Watcher, telling
from ctxenc.errors import UserError, printable
from ctxenc.metrics.registry import MAIN
from ctxenc.report.curves import DPI
from ctxenc.run_folder.folder import Run

MOST_SHOWN = 500  # runs

Query = list[tuple[str, str]]


class Runs:
    """All below a folder; a run's id is the same as long as its path is."""

    def __init__(self, folder: str):
        self._watcher = Watcher([folder], MAIN)
        self._lock = threading.Lock()  # one look, or one picture, at a time

    def listed(self, _: Query) -> dict[str, Any]:
        """A `title`, and the texts of each run, the most telling and the latest first."""
        with self._lock:
            self._watcher.look()
            pairs = zip(self._watcher.jobs, self._watcher.paths, strict=True)
            jobs = sorted(pairs, key=lambda pair: telling(pair[0]))
            hidden = len(jobs) - MOST_SHOWN
            shown = []
            for job, path in jobs[:MOST_SHOWN]:
                texts = {key: printable(c.text) for key, c in self._watcher.row(job).items()}
                share = job.step / job.total_steps if job.total_steps else None
                shown.append({**texts, "id": _id(path), "share": share})
            more = f"; {hidden:,} more not shown" if hidden > 0 else ""
            return {
                "title": self._watcher.title + more,
                "heads": [*COLUMNS.values(), f"last {figures.heading(MAIN)}"],
                "runs": shown,
            }

    def path(self, run: str) -> Path:
        """The folder of a run that was listed."""
        with self._lock:
            if not self._watcher.paths:
                self._watcher.look()
            for path in self._watcher.paths:
                if _id(path) == run:
                    return path
        raise UserError(f"{run or 'run'}: no such run here; expected one of the list")

    def card(self, _: Query, run: str) -> str:
        """Its state, settings, figures and last samples, as a piece of HTML."""
        return card.html(Run(self.path(run)))

    def curves(self, _: Query, run: str) -> bytes:
        """Its curves by now, as a PNG."""
        path, out = self.path(run), io.BytesIO()
        with self._lock:
            Run(path).plot().savefig(out, format="png", dpi=DPI)
        return out.getvalue()

    def compared(self, query: Query) -> str:
        """The page that ``ctxenc.compare --html`` makes of the chosen runs."""
        chosen = [self.path(value) for name, value in query if name == "run"]
        if not chosen:
            raise UserError("no run is chosen; expected one or more")
        found = sections.compare(records.load(chosen))
        pairs, _ = paired.tables(found)
        pairs += importance.tables(found, MAIN)
        return page.html(found, comparison_table.tables(found, pairs), None)


def _id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
