"""Which GPU a worker process uses, so that the jobs of one machine do not fight over one.

JAX takes three quarters of each GPU's memory that it sees, so the second of two processes on one
GPU would find none. Each worker takes a slot, which it holds until it dies; slot k uses GPU k
modulo their count. Where several workers share a GPU, each is allowed its share of the memory.
See https://docs.jax.dev/en/latest/gpu_memory_allocation.html.
"""

import contextlib
import functools
import os
import subprocess
from pathlib import Path

import filelock

SHARED = 0.9  # of a GPU's memory, divided among its workers


@functools.cache
def take_slot(folder: Path, workers: int) -> filelock.BaseFileLock:
    """Take a free slot of a sweep for this process, once; before JAX looks for devices.

    The user's own ``XLA_PYTHON_CLIENT_MEM_FRACTION`` and ``XLA_PYTHON_CLIENT_PREALLOCATE`` win.
    """
    slots, slot = folder / ".gpu_slots", 0
    slots.mkdir(exist_ok=True)
    while True:
        lock = filelock.FileLock(slots / str(slot), blocking=False)
        with contextlib.suppress(filelock.Timeout):  # another worker's
            lock.acquire()
            os.environ.update(environment(slot, workers, gpus()))
            return lock
        slot += 1


def environment(slot: int, workers: int, devices: list[str]) -> dict[str, str]:
    """What the environment of the worker in a slot says of GPUs; nothing where there are none.

    As joblib's, negative numbers of `workers` count from the machine's cores.
    """
    if not devices:
        return {}
    chosen = {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]}
    workers = workers if workers > 0 else max(1, (os.cpu_count() or 1) + 1 + workers)
    sharing = -(-workers // len(devices))
    users = {"XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"} & set(os.environ)
    if sharing > 1 and not users:
        chosen["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{SHARED / sharing:.3f}"
    return chosen


def gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, without having JAX look for them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip()]
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):  # no such program, say
        return []
    found = [line for line in answer.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(found))]


def jobs_at_once() -> int:
    """How many jobs joblib runs at a time by default: one a GPU, else one for every two cores."""
    return len(gpus()) or max(1, (os.cpu_count() or 1) // 2)
