"""A program for `test_disk.py`: runs on a disk of its own that fills up, or cannot be written.

``python -m tests.faults.full_disk DISK`` prints a line of JSON for each fault.
"""

import contextlib
import faulthandler
import functools
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from ctxenc import launch
from ctxenc.report import grids
from ctxenc.run_folder import checkpoints
from ctxenc.run_folder.checkpoints import Checkpoints
from ctxenc.run_folder.folder import Run
from tests.faults.ends import assert_same, final_state
from tests.faults.programs import SHORT, wait_until

BALLAST = Path("ballast")
PAGE = os.sysconf("SC_PAGE_SIZE")  # of which tmpfs gives files whole ones


def fill():
    """Take what is left of the disk, to the last byte."""
    with BALLAST.open("ab", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def before(fault, owner, name, condition):
    """Fill the disk right before the first call of a function for which `condition` holds.

    By then there is a checkpoint: that of step 10, which is written meanwhile, has landed.
    """
    real, done = getattr(owner, name), []

    def call(*args, **kwargs):
        if not done and condition(*args):
            done.append(True)
            run = Run(next(Path("experiments", fault).iterdir()))
            wait_until(lambda: checkpoints.saved_steps(run.checkpoints), seconds=60)
            fill()
            answer = real(*args, **kwargs)
            if owner is Checkpoints:
                args[0].wait()  # else another file may be the first that cannot be written
            return answer
        return real(*args, **kwargs)

    setattr(owner, name, call)
    return lambda: setattr(owner, name, real)


def takes_more_disk(run, record):
    """Whether a line after step 10 does not fit in what the disk has given its file already."""
    had = (run.path / "metrics.jsonl").stat().st_size if record["step"] > 10 else 0
    return -had % PAGE < len(json.dumps(record)) and record["step"] > 10


LOG_EVERY = {"checkpoint": 5, "grid": 5, "line": 1}
FAULTS = {
    "checkpoint": (Checkpoints, "save", lambda self, step, *_: step == 20),
    "grid": (grids, "save", lambda file, picture: file.stem == "0000013"),
    "line": (Run, "append_metrics", takes_more_disk),
}


def attempt(*overrides):
    try:
        launch.run(*overrides)
    except Exception as error:
        print(error, file=sys.stderr)
        return {"kind": type(error).__name__, "message": str(error)}
    return {"kind": None, "message": ""}


@functools.cache
def undisturbed(log_every):
    return launch.run(*SHORT, f"log_every={log_every}", "name=undisturbed")


def full(fault):
    settings = [*SHORT, f"log_every={LOG_EVERY[fault]}"]
    expected = undisturbed(LOG_EVERY[fault])
    restore = before(fault, *FAULTS[fault])
    told = attempt(*settings, f"name={fault}")
    restore()
    run = Run(next(Path("experiments", fault).iterdir()))
    found = {
        "fault": fault,
        **told,
        "status": run.status,
        "saved": checkpoints.saved_steps(run.checkpoints),
        "lines": (run.path / "metrics.jsonl").read_text(),
        "pictures": sorted(file.name for file in run.samples.iterdir()),
    }
    final_state(run)  # the last checkpoint is whole
    BALLAST.unlink()
    found["resumed"] = attempt(f"resume={run.path}")
    assert_same(run, expected)
    return found


def read_only(disk, run):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield {"fault": "new run", **attempt(*SHORT)}
    yield {"fault": "resume", **attempt(f"resume={run.path}", "max_steps=30")}
    found = run.status["state"], len(run.lines())
    yield {"fault": "afterwards", "state": found[0], "lines": found[1]}


def main(disk):
    faulthandler.dump_traceback_later(300, exit=True)  # should anything wait for ever
    os.chdir(disk)
    for library in ("absl", "asyncio"):  # as the programs do
        logging.getLogger(library).setLevel(logging.CRITICAL)
    for fault in FAULTS:
        print(json.dumps(full(fault)), flush=True)
    for found in read_only(disk, Run(next(Path("experiments", "grid").iterdir()))):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
