"""One process at work on a run: its lock, its log, its status, and the wish to stop."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from ctxenc.parallel import devices, processes
from ctxenc.report.progress import Bar
from ctxenc.runs.folder import Run
from ctxenc.runs.status import StatusFile
from ctxenc.runtime import signals

log = logging.getLogger(__name__)


@dataclass
class Session:
    """What the training loop is given of it."""

    status: StatusFile
    bar: Bar
    _request: signals.Request
    _vote: devices.Vote

    def at(self, step: int) -> None:
        """A step has been taken: move the bar and remember it for the status."""
        self.status.step = step
        self.bar.step(step)

    def stop_requested(self) -> signals.Interrupted | None:
        """Whether a process was asked to stop; every process learns of it at the same step."""
        asked = self._vote.cast(self._request.signum)
        return signals.Interrupted(asked) if asked else None


@contextlib.contextmanager
def session(run: Run, bar: Bar, *, resumed: bool) -> Iterator[Session]:
    """Work on a run. However it ends, ``status.json`` says so.

    Raises:
        UserError: another process is at work in the folder.
        Interrupted: a stop was asked for during the last step; the run is finished then.
    """
    with contextlib.ExitStack() as stack:
        processes.together(lambda: stack.enter_context(run.lock()))
        stack.enter_context(run.logging(bar.handler()))
        stack.enter_context(bar)
        request = stack.enter_context(signals.requests())
        status = StatusFile(run, resumed=resumed)
        processes.at_failure(lambda message: status.write("failed", message))
        try:
            yield Session(status, bar, request, devices.Vote())
        except KeyboardInterrupt as stop:  # Interrupted, or a second Ctrl-C, which saves nothing
            status.write("interrupted", str(stop) or "SIGINT twice: not saved")
            if not isinstance(stop, signals.Interrupted):
                processes.abandon(stop)
            raise
        except BaseException as error:
            log.debug("failed", exc_info=error)
            processes.abandon(error)
            status.write("failed", f"{type(error).__name__}: {error}")
            raise
        status.write("finished")
        if request.signum:
            raise signals.Interrupted(request.signum)
