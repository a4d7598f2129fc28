"""``status.json``, kept true while a process works on a run."""

import time

from ctxenc.runs.folder import Run


class StatusFile:
    """The status of a run that this process trains.

    A resumed run keeps its old status until its state is restored, so that an attempt that cannot
    even begin changes nothing.
    """

    def __init__(self, run: Run, *, resumed: bool):
        self._run, self._began = run, time.monotonic()
        self._before: float = run.known_status["seconds"] if resumed else 0.0
        self.step, self._begun = 0, False
        if not resumed:
            self.begin(0)

    def begin(self, step: int) -> None:
        """Say that the run is under way from `step` on."""
        self.step, self._begun = step, True
        self.write("running")

    def write(self, state: str, error: str | None = None) -> None:
        """Write the status with the seconds of every process that has worked on the run."""
        if self._begun:
            seconds = self._before + time.monotonic() - self._began
            self._run.write_status(state, step=self.step, seconds=seconds, error=error)
