"""Real programs, started, watched and killed."""

import os
import subprocess
import sys
import time

from tests.tiny import TINY

TRAIN = ("-m", "ctxenc.train")
# Its first epoch ends after 22 steps.
SHORT = [*TINY, "batch_size=64", "max_steps=24", "eval_every=10", "log_every=5", "n_update=13"]


def start(*arguments, cwd, program=TRAIN, **environment):
    """``python -m ctxenc.train``, or another program, with the arguments, under way."""
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition, *processes, seconds=300):
    """Until `condition` holds, while all processes live."""
    end = time.monotonic() + seconds
    while not condition():
        ended = [p for p in processes if p.poll() is not None]
        assert not ended, ended[0].communicate()
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
