"""The signals that ask a process to stop, and who hears them: Ctrl-C, schedulers, a lost terminal.

Whatever ignores one from the start, as ``nohup`` does, is left to ignore it.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ctxenc.errors import Interrupted

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def handle(handler: Callable[[int, Any], None]) -> dict[int, Any]:
    """Have a handler for all that are not ignored; the handlers that were there before."""
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOPS}
    before = {number: had for number, had in before.items() if had != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    return before


def restore(before: dict[int, Any]) -> None:
    """Have the handlers that `handle` has returned again."""
    for number, handler in before.items():
        signal.signal(number, handler)


def leave_at_once() -> None:
    """Have them end the process with one line, while nothing has begun that could be lost.

    An exception would be a long traceback during imports, or be dropped in one of JAX's callbacks.
    """

    def leave(signum: int, _: object) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"ctxenc: stopped by {signal.Signals(signum).name}\n".encode())
        os._exit(128 + signum)

    handle(leave)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Have them raise `Interrupted`, and again where Python has to drop it, in a callback."""
    hook = sys.unraisablehook

    def stop(signum: int, _: object) -> None:
        raise Interrupted(signum)

    def again(lost: Any) -> None:
        if isinstance(lost.exc_value, Interrupted):
            threading.Timer(0.1, os.kill, (os.getpid(), lost.exc_value.signum)).start()
        else:
            hook(lost)

    before = handle(stop)
    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        restore(before)
