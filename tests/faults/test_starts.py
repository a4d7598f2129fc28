"""Many jobs that start at once, and a second process in one folder."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ctxenc.runs import folder as runs

JOBS = 200

RESERVE = """
import sys, time
from pathlib import Path
from ctxenc.runs.folder import reserve
time.sleep(max(0, float(sys.argv[2]) - time.time()))
print(reserve(Path(sys.argv[1])), time.time())
"""


def test_200_jobs_of_one_second_get_200_folders(tmp_path):
    reserved, wanted = [], tmp_path / "name" / "2026-01-01_00-00-00"
    go = threading.Barrier(JOBS)

    def job():
        go.wait()
        reserved.append(runs.reserve(wanted))

    threads = [threading.Thread(target=job) for _ in range(JOBS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(reserved)) == JOBS
    assert set((tmp_path / "name").iterdir()) == set(reserved)
    assert wanted in reserved


@pytest.mark.slow
def test_200_processes_of_one_second_get_200_folders(tmp_path):
    wanted, at = tmp_path / "name" / "2026-01-01_00-00-00", time.time() + 120
    command = [sys.executable, "-c", RESERVE, str(wanted), str(at)]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(JOBS)]
    answers = [job.communicate()[0].rsplit(maxsplit=1) for job in jobs]
    assert len({folder for folder, _ in answers}) == JOBS
    assert {str(path) for path in wanted.parent.iterdir()} == {folder for folder, _ in answers}
    moments = [float(moment) for _, moment in answers]
    print(f"{JOBS} processes in {max(moments) - min(moments):.2f} s")
    assert Path(wanted).is_dir()
