"""``python -m ctxenc.train``, killed before its so-manieth operation on files of a run folder.

Each line of standard input is JSON: that number (0: none), the working directory, the arguments.
It is answered by the exit status, what the program said and, unless it was killed, how many
operations there were, and how many until each step was saved. Only imports are done beforehand,
and the program is forked from there: JAX has computed nothing yet, and has no thread.
"""

import json
import os
import re
import sys
from pathlib import Path

import dm_pix  # noqa: F401  # these, ctxenc imports late
import grain  # noqa: F401
import matplotlib.figure  # noqa: F401
import skimage.metrics  # noqa: F401
import tensorboardX  # noqa: F401

from ctxenc.train import main

EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate")
SAID, COUNTED = "said.txt", "counted.json"


def train(at, cwd, *arguments):
    """The program, in the child: as if it had been started in `cwd`."""
    os.chdir(cwd)
    said = os.open(SAID, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    done, saved = 0, {}

    def count(event, of):
        nonlocal done
        if event in EVENTS and "experiments" in str(of[0]):
            done += 1
            if done == at:
                os.kill(os.getpid(), 9)
            if event == "os.rename" and (step := re.search(r"/checkpoints/(\d+)$", str(of[1]))):
                saved[step[1]] = done

    sys.addaudithook(count)
    sys.argv = ["ctxenc.train", *arguments]
    main()
    Path(COUNTED).write_text(json.dumps({"operations": done, "saved": saved}))


for line in sys.stdin:
    at, cwd, *arguments = json.loads(line)
    if not (child := os.fork()):
        train(at, cwd, *arguments)
        break
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counted = json.loads(Path(cwd, COUNTED).read_text()) if status == 0 else None
    print(json.dumps([status, Path(cwd, SAID).read_text(), counted]), flush=True)
