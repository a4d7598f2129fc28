"""Several processes, on one host or many, that train one run together.

`jax.distributed` finds them by itself under Slurm, under Open MPI and on TPUs. Elsewhere each
process is told by three environment variables, as it is a matter of the machine and not of the run:
``JAX_COORDINATOR_ADDRESS`` (host:port of process 0), ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``.
Process 0 alone writes the run folder, but for the checkpoints, to which each gives its part.
"""

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ctxenc.errors import UserError

HEARTBEAT = 30  # seconds without a sign of life after which a process counts as dead
FAILED = "ctxenc/failed/{}"  # where a process finds the message of another that fails alone
ENDED = "ended"  # what a process that ends well leaves there for itself
LONGEST = 2048  # bytes of a text that processes exchange
YEARS = 10**11  # milliseconds

Answer = TypeVar("Answer")

_index, _count = 0, 1  # kept here, so that who only reads a run folder need not import JAX
_at_failure: list[Callable[[str], None]] = []


def join() -> None:
    """Become one of the processes of a `jax.distributed` job, before JAX computes anything.

    A `UserError` says that there is no such job, or that its processes do not find each other.
    """
    import jax

    global _index, _count
    if _count > 1:
        return
    try:
        if not jax.distributed.is_initialized():  # else by the user's own program
            jax.distributed.initialize(
                num_processes=_number("JAX_NUM_PROCESSES"),
                process_id=_number("JAX_PROCESS_ID"),
                heartbeat_timeout_seconds=HEARTBEAT,
            )
    except (ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"distributed=true: {reason} Outside of Slurm, Open MPI and TPUs set "
            "JAX_COORDINATOR_ADDRESS=HOST:PORT, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        ) from None
    _index, _count = jax.process_index(), jax.process_count()
    if _count > 1:
        watch = threading.Thread(target=_leave_with_others, args=(_client(),), daemon=True)
        watch.start()
        atexit.register(_end, watch)  # before JAX's own end, as it came after JAX's beginning


def _number(variable: str) -> int | None:
    value = os.environ.get(variable)
    if value is not None and not value.isdecimal():
        raise ValueError(f"{variable}={value}: expected a whole number.")
    return None if value is None else int(value)


def is_main() -> bool:
    """Whether this process is the one that writes: process 0, or the only one."""
    return _index == 0


def together(action: Callable[[], Answer]) -> Answer:
    """Do something in every process; where one fails, all do, naming it, so that none waits."""
    if _count == 1:
        return action()
    try:
        answer = action()
    except Exception as error:
        _exchange(str(error) or type(error).__name__)
        raise
    for index, message in enumerate(_exchange("")):
        if message:
            raise UserError(f"process {index}: {message}")
    return answer


def first(action: Callable[[], Any]) -> str:
    """The text of what process 0 alone does, in every process; its error is everyone's."""
    found = together(lambda: str(action()) if is_main() else "")
    return found if _count == 1 else _exchange(found)[0]


def _exchange(text: str) -> list[str]:
    """Every process's text, in every process."""
    from jax.experimental import multihost_utils

    encoded = text.encode()[:LONGEST].ljust(LONGEST, b"\0")
    gathered = multihost_utils.process_allgather(np.frombuffer(encoded, np.uint8))
    return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in gathered]


def at_failure(tell: Callable[[str], None]) -> None:
    """Have `tell` called with another process's message of failure before this one ends too."""
    _at_failure[:] = [tell]


def abandon(error: BaseException) -> None:
    """Tell the other processes of an error that is this one's alone, and end without them.

    They wait in a computation that this process was to share, and cannot be asked for anything any
    more. It ends when the program does, with status 1.
    """
    if _count == 1:
        return
    message = f"process {_index}: {str(error) or type(error).__name__}"
    with contextlib.suppress(Exception):  # the others may have gone
        for other in {*range(_count)} - {_index}:
            _client().key_value_set(FAILED.format(other), message)
    atexit.register(_exit_without_others)  # before JAX's, which waits for the others


def _leave_with_others(client: Any) -> None:
    """Wait for another process's failure, in a thread: the main one may be in a computation."""
    try:
        message = client.blocking_key_value_get(FAILED.format(_index), YEARS)
    except Exception:
        return  # the job is over
    if message == ENDED:
        return
    for tell in _at_failure:
        tell(message)
    print(message, file=sys.stderr)
    _exit_without_others()


def _exit_without_others() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if is_main():
        time.sleep(2)  # the others are told through this process
    os._exit(1)


def _end(watch: threading.Thread) -> None:
    """End the thread, which could not return to an interpreter that has ended."""
    with contextlib.suppress(Exception):
        _client().key_value_set(FAILED.format(_index), ENDED)
    watch.join()


def _client() -> Any:
    """The job's key-value store. Orbax uses it too; JAX has no public name for it."""
    from jax._src import distributed

    return distributed.global_state.client
