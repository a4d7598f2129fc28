"""One process at work on a run: its lock, log and status, requests to stop, a background thread."""

import contextlib
import logging
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ctxenc import stops
from ctxenc.errors import Interrupted, UserError, printable, warned
from ctxenc.parallel import devices, processes
from ctxenc.report.progress import Bar
from ctxenc.run_folder.folder import Run

log = logging.getLogger(__name__)

LOG_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
MOST_WAITING = 8  # pieces of work: a slow disk slows the loop in the end, and never fills memory


class Session:
    """The training loop's hold of it: progress, status, requests to stop.

    A resumed run keeps its old status until its state is restored, so that an attempt that cannot
    even begin changes nothing.
    """

    def __init__(self, run: Run, bar: Bar, *, resumed: bool):
        self.bar = bar
        self.signum = 0  # of the signal that asks for a stop
        self._run, self._vote = run, devices.Vote()
        self._began = time.monotonic()
        self._before: float = run.known_status["seconds"] if resumed else 0.0
        self._step: int | None = None  # before the run is under way

    def begin(self, step: int) -> None:
        """Say that the run is under way from `step` on."""
        self._step = step
        self.write_status("running")

    def at(self, step: int) -> None:
        """A step has been taken: move the bar and remember it for the status."""
        self._step = step
        self.bar.step(step)

    def write_status(self, state: str, error: str | None = None) -> None:
        """Write the status with the seconds of every process that has worked on the run."""
        if self._step is not None:
            seconds = self._before + time.monotonic() - self._began
            self._run.write_status(state, step=self._step, seconds=seconds, error=error)

    def stop_requested(self) -> Interrupted | None:
        """Whether a process was asked to stop; every process learns of it at the same step."""
        asked = self._vote.cast(self.signum)
        return Interrupted(asked) if asked else None


@contextlib.contextmanager
def session(run: Run, bar: Bar, *, resumed: bool) -> Iterator[Session]:
    """Work on a run, alone (`Run.lock`). However it ends, ``status.json`` says so.

    A stop that was asked for during the last step is raised once the run is finished.
    """
    with contextlib.ExitStack() as stack:
        processes.together(lambda: stack.enter_context(run.lock()))
        stack.enter_context(log_to(run.log_file, bar.handler()))
        stack.enter_context(bar)
        log.info("run folder: %s", run.path)
        current = Session(run, bar, resumed=resumed)
        _catch_signals(current, until=stack)
        if not resumed:
            current.begin(0)
        processes.at_failure(lambda message: current.write_status("failed", message))
        try:
            yield current
        except KeyboardInterrupt as stop:  # Interrupted, or a second Ctrl-C, which saves nothing
            stop.add_note(to_go_on(run.path))
            current.write_status("interrupted", str(stop) or "SIGINT twice: not saved")
            if not isinstance(stop, Interrupted):
                processes.abandon(stop)
            raise
        except BaseException as error:
            log.debug("failed", exc_info=error)
            processes.abandon(error)
            current.write_status("failed", f"{type(error).__name__}: {error}")
            raise
        current.write_status("finished")
        if current.signum:
            raise Interrupted(current.signum)


def to_go_on(folder: Path, *others: str) -> str:
    """The command that goes on with a run or a sweep, as it can be pasted into a shell."""
    return f"to go on: python -m ctxenc.train {shlex.join([f'resume={folder}', *others])}"


def _catch_signals(current: Session, until: contextlib.ExitStack) -> None:
    """Have `ctxenc.stops` ask for a stop at the next step, with a checkpoint.

    After the first, SIGTERM changes nothing (schedulers send it several times, and a checkpoint is
    under way), and Ctrl-C saves nothing. Outside of the main thread, where Python
    allows no handlers, nothing is caught.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def ask(signum: int, _: object) -> None:
        if current.signum and signum == signal.SIGINT:
            stops.restore(before)
            raise KeyboardInterrupt
        current.signum = current.signum or signum

    before = stops.handle(ask)
    until.callback(stops.restore, before)


class _LogFile(logging.FileHandler):
    """A log file that cannot be written (a full disk) is no reason to fill the terminal."""

    def _open(self) -> Any:
        file = Path(self.baseFilename)
        if file.is_symlink() or (file.exists() and not file.is_file()):  # in somebody's folder
            raise UserError(f"{file}: a link, or no file; expected a file of the run's own")
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        pass


@contextlib.contextmanager
def log_to(file: Path, console: logging.Handler) -> Iterator[None]:
    """While open, ctxenc's log goes to `console` and, with tracebacks, to `file`.

    Of several processes, one writes the file, and the others show errors alone.
    """
    ours, handlers = logging.getLogger("ctxenc"), [console]
    verbose = ours.getEffectiveLevel() == logging.DEBUG  # hydra.verbose=true
    shown = logging.DEBUG if verbose else logging.INFO
    console.setLevel(shown if processes.is_main() else logging.ERROR)
    if processes.is_main():
        handlers.append(_LogFile(file, encoding="utf-8"))
        handlers[1].setFormatter(logging.Formatter(LOG_LINE))
    before = ours.level, ours.propagate
    ours.setLevel(logging.DEBUG)
    ours.propagate = False
    for handler in handlers:
        handler.addFilter(_plain)
        ours.addHandler(handler)
    try:
        yield
    finally:
        ours.setLevel(before[0])
        ours.propagate = before[1]
        for handler in handlers:
            ours.removeHandler(handler)
        for log_file in handlers[1:]:
            with contextlib.suppress(OSError):  # what it could not write
                log_file.close()


def _plain(record: logging.LogRecord) -> bool:
    """Without control characters, by which a name could steer the terminal or forge a line."""
    record.msg, record.args = printable(record.getMessage()), None
    return True


class Background(contextlib.AbstractContextManager["Background"]):
    """One thread that does what the training loop hands over and does not wait for, in that order.

    What fails there is a warning, and costs nothing else (`ctxenc.errors.warned`).
    Of several processes that train one run, only the one that writes does anything.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-background")
        self._room = threading.Semaphore(MOST_WAITING)
        self._told: set[str] = set()

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Do ``work(*args)`` after what was handed in before."""
        if processes.is_main():
            self._room.acquire()
            self._pool.submit(self._do, work, *args)

    def _do(self, work: Callable[..., Any], *args: Any) -> None:
        try:
            with warned(self._told):
                work(*args)
        finally:
            self._room.release()

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
