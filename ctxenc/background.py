"""Host work that the training loop hands over and does not wait for."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

MOST_WAITING = 8  # pieces of work: a slow disk slows the loop in the end, and never fills memory


class Background:
    """One thread that does what it is handed, in that order.

    What fails there fails the next `submit`, or the end of the ``with`` block.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ctxenc-background")
        self._handed: deque[Future[Any]] = deque()

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Do ``work(*args)`` after what was handed in before.

        Raises:
            Exception: what an earlier piece of work raised.
        """
        while self._handed and (self._handed[0].done() or len(self._handed) == MOST_WAITING):
            self._handed.popleft().result()
        self._handed.append(self._pool.submit(work, *args))

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None:
            for work in self._handed:
                work.result()
