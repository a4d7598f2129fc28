"""``python -m ctxenc.train``, killed before its so-manieth operation on files of a run folder.

The first argument is that number; 0 has it count them all and tell on standard error.
"""

import os
import sys

EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate")
at, done = int(sys.argv.pop(1)), 0


def count(event, arguments):
    global done
    if event in EVENTS and "experiments" in str(arguments[0]):
        done += 1
        if done == at:
            os.kill(os.getpid(), 9)


sys.addaudithook(count)

from ctxenc.train import main  # noqa: E402

main()
if not at:
    print(f"operations: {done}", file=sys.stderr)
