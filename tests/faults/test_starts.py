"""Many jobs that start at once."""

import os
import subprocess
import sys
import threading

import pytest

from ctxenc.run_folder.new import reserve

JOBS = 200

RESERVE = """
import sys, time
from pathlib import Path
from ctxenc.run_folder.new import reserve
print("ready", flush=True)
sys.stdin.read()  # ends for all of them at once
began = time.time()
print(reserve(Path(sys.argv[1])), began)
"""


def test_200_jobs_of_one_second_get_200_folders(tmp_path):
    reserved, wanted = [], tmp_path / "name" / "2026-01-01_00-00-00"
    go = threading.Barrier(JOBS)

    def job():
        go.wait()
        reserved.append(reserve(wanted))

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
    wanted = tmp_path / "name" / "2026-01-01_00-00-00"
    command = [sys.executable, "-c", RESERVE, str(wanted)]
    waiting, go = os.pipe()
    options = {"stdin": waiting, "stdout": subprocess.PIPE, "text": True}
    jobs = [subprocess.Popen(command, **options) for _ in range(JOBS)]
    assert {job.stdout.readline() for job in jobs} == {"ready\n"}
    assert not wanted.parent.exists()
    os.close(go)
    answers = [job.communicate()[0].rsplit(maxsplit=1) for job in jobs]
    os.close(waiting)
    moments = [float(began) for _, began in answers]
    spread = max(moments) - min(moments)
    print(f"{JOBS} processes began within {spread:.2f} s")
    assert spread < 5  # 0.9 on two busy cores
    assert len({folder for folder, _ in answers}) == JOBS
    assert {str(path) for path in wanted.parent.iterdir()} == {folder for folder, _ in answers}
    assert wanted.is_dir()
