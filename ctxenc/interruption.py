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
    """Whether a stop was asked for, and by which signal."""

    signum: int | None = None

    @property
    def name(self) -> str:
        """The name of the signal that asked."""
        return signal.Signals(self.signum).name if self.signum else ""

    def raise_if_made(self) -> None:
        """Raise `Interrupted` where a stop was asked for."""
        if self.signum is not None:
            raise Interrupted(self.signum)


@contextlib.contextmanager
def requests() -> Iterator[Request]:
    """Catch SIGINT and SIGTERM; a second one of either acts as if it were not caught.

    Outside of the main thread, where Python allows no handlers, nothing is caught.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def ask(signum: int, frame: FrameType | None) -> None:
        request.signum = signum
        restore()

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    for signum in before:
        signal.signal(signum, ask)
    try:
        yield request
    finally:
        restore()
