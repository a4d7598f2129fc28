"""How long a command takes to its first finished step, with and without compiled programs kept.

    python benchmarks/start_up.py [--rounds 3] [OVERRIDE …]

Starts `python -m ctxenc.train log_every=1` and stops it when its first line of metrics is there
(which is when its second step has begun): the time is that of the whole process so far. First with
an empty compilation cache, then with a filled one. The last line printed is one JSON object, in
seconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds_to_first_step(cache: str, overrides: list[str]) -> float:
    """Seconds from the start of the process to its first line of metrics."""
    command = [sys.executable, "-m", "ctxenc.train", "log_every=1", "max_steps=100", *overrides]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "XDG_CACHE_HOME": cache},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None:
            lines = Path(folder).glob("experiments/*/*/metrics.jsonl")
            if any(file.stat().st_size for file in lines):  # it is made empty before the first step
                break
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        process.kill()
        process.wait()
    return seconds


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="as for ctxenc.train")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        first = seconds_to_first_step(cache, options.overrides)
        again = [seconds_to_first_step(cache, options.overrides) for _ in range(options.rounds)]
    print(json.dumps({"first": round(first, 1), "again": round(statistics.median(again), 1)}))


if __name__ == "__main__":
    main()
