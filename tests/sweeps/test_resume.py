"""A sweep killed half-way, for real; run by `make test-slow`."""

import json
import subprocess
import sys
import time

import pytest

from ctxenc.run_folder.folder import Run
from tests.tiny import TINY

COMMAND = [sys.executable, "-m", "ctxenc.train"]


@pytest.mark.slow
def test_twelve_jobs_of_which_two_fail_killed_half_way_end_with_ten_results(tmp_path):
    swept = ["learning_rate_g=1e-4,3e-4,1e-3,3e-3,1e-2,1e30", "seed=range(2)"]
    started = [*COMMAND, "--multirun", *TINY, "max_steps=200", "eval_every=10", *swept]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(started, **quiet)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("experiments/*/*/5-*/checkpoints/[1-9]0")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    (folder,) = tmp_path.glob("experiments/*/*")
    rows = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [row["state"] for row in rows] == ["finished"] * 5 + ["running"]
    done = [p for row in rows[:5] for p in (folder / row["folder"]).rglob("*") if p.is_file()]
    before = {file: file.stat().st_mtime_ns for file in done}

    resumed = subprocess.run(
        [*COMMAND, f"resume={folder}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 1
    rows = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [row["state"] for row in rows] == ["finished"] * 10 + ["failed"] * 2
    assert {file: file.stat().st_mtime_ns for file in done} == before
    half = Run(folder / rows[5]["folder"])
    assert [line["step"] for line in half.lines("validation")] == list(range(10, 201, 10))
    assert "step 10:" not in resumed.stderr.split(rows[6]["folder"])[0]  # not from the start
    assert "10 of 12 jobs finished, 2 failed" in resumed.stderr

    compare = [sys.executable, "-m", "ctxenc.compare", str(folder), "--group-by", "seed"]
    table = subprocess.run(compare, capture_output=True, text=True, check=True).stdout
    assert table.count("DivergedError") == 2
    assert table.count("±") >= 5 * 3
