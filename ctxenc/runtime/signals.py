"""Ctrl-C and SIGTERM as a request to stop at the next step, with a checkpoint."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A run stopped as asked, its state saved. `signum` is the signal that asked."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Request:
    """Whether a stop was asked for, and by which signal: `signum` is 0 while it was not."""

    signum: int = 0


@contextlib.contextmanager
def requests() -> Iterator[Request]:
    """Catch SIGINT and SIGTERM.

    The first asks for a stop. After it, SIGTERM changes nothing (schedulers send it several times,
    and a checkpoint is under way), and Ctrl-C acts as if it were not caught.
    Outside of the main thread, where Python allows no handlers, nothing is caught.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def ask(signum: int, frame: FrameType | None) -> None:
        if request.signum and signum == signal.SIGINT:
            signal.signal(signum, before[signal.SIGINT])
            signal.raise_signal(signum)
        request.signum = request.signum or signum

    for signum in before:
        signal.signal(signum, ask)
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
