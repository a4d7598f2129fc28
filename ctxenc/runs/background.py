"""Host work that the training loop hands over and does not wait for."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ctxenc.parallel.processes import is_main

log = logging.getLogger(__name__)

MOST_WAITING = 8  # pieces of work: a slow disk slows the loop in the end, and never fills memory


class Background:
    """One thread that does what it is handed, in that order.

    What fails there is raised by `check`, and by the end of the ``with`` block unless another error
    leaves it; never by `submit`, so that a picture which cannot be written costs nothing else.
    Of several processes that train one run, only the one that writes does anything.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-background")
        self._room = threading.Semaphore(MOST_WAITING)
        self._errors: list[Exception] = []

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Do ``work(*args)`` after what was handed in before."""
        if is_main():
            self._room.acquire()
            self._pool.submit(self._do, work, *args)

    def _do(self, work: Callable[..., Any], *args: Any) -> None:
        try:
            work(*args)
        except Exception as error:
            self._errors.append(error)
        finally:
            self._room.release()

    def check(self) -> None:
        """Raise what a piece of work has raised."""
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._pool.shutdown(wait=True)
        if error is None:
            self.check()
        others = [lost for lost in self._errors if lost is not error]
        for message in dict.fromkeys(f"{type(lost).__name__}: {lost}" for lost in others):
            log.error("not written: %s", message)
