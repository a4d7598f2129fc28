"""`kill -9` at any moment costs no more than the work since the last checkpoint."""

import random
import re
import time
from pathlib import Path

import pytest

from ctxenc import launch
from tests.faults.ends import assert_same, saved
from tests.faults.programs import SHORT, start, wait_until

ENDLESS = "max_steps=1000000"  # no machine is so fast that it ends before it is killed
LONG = [*SHORT, "batch_size=32", "n_update=100"]


def kill(process):
    process.kill()
    process.communicate()
    assert process.returncode == -9


def the_run(folder):
    found = list(folder.glob("experiments/*/*/status.json"))
    return launch.Run(found[0].parent) if found else None


def finished(at, *arguments, cwd):
    """The exit status and the standard error of a run that is killed at a file operation."""
    program = (str(Path(__file__).with_name("killed_at.py")), str(at))
    process = start(*arguments, cwd=cwd, program=program)
    error = process.communicate()[1]
    return process.returncode, error


@pytest.mark.slow
def test_runs_killed_at_forty_file_operations_end_to_the_bit(tmp_path):
    """From the first operation to the last; each is resumed, or begun anew, until it ends."""
    status, told = finished(0, *SHORT, "name=undisturbed", cwd=tmp_path)
    assert status == 0, told
    undisturbed, operations = the_run(tmp_path), int(re.findall(r"operations: (\d+)", told)[0])
    rng = random.Random(seed := time.time_ns())
    kills, ends = [], 0
    while len(kills) < 40:
        folder = tmp_path / str(ends)
        folder.mkdir(exist_ok=True)
        found = list(folder.glob("experiments/*/*/.hydra/config.yaml"))
        run = launch.Run(found[0].parents[1]) if found else None
        arguments = [f"resume={run.path}"] if run else SHORT
        at = rng.randint(1, operations)
        status, told = finished(at, *arguments, cwd=folder)
        assert status in (0, -9), (seed, at, told)
        if status:
            kills.append(at)
        else:  # it had fewer operations left
            found = list(folder.glob("experiments/*/*/.hydra/config.yaml"))
            assert_same(launch.Run(found[0].parents[1]), undisturbed)
            ends += 1
    run = the_run(tmp_path / str(ends))
    if run is not None and run.path != undisturbed.path:
        status, told = finished(0, f"resume={run.path}", cwd=folder)
        assert status == 0, (seed, told)
        assert_same(run, undisturbed)
    print(f"seed {seed}: 40 kills at {sorted(kills)} of {operations} operations, {ends} ends")


def test_a_run_killed_once_ends_to_the_bit_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = start(*SHORT, ENDLESS, "name=killed", cwd=tmp_path)
    wait_until(lambda: (run := the_run(tmp_path)) and saved(run), process)
    time.sleep(random.Random(time.time_ns()).uniform(0, 0.5))
    kill(process)
    run = the_run(tmp_path)
    assert run.status["state"] == "running"  # what a killed process leaves
    last = saved(run)[-1]
    launch.run(f"resume={run.path}", f"max_steps={last + 7}")
    assert run.status["state"] == "finished"
    assert not list(run.checkpoints.glob("*tmp*"))
    assert_same(run, launch.run(*SHORT, f"max_steps={last + 7}", "name=undisturbed"))


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_to_the_bit_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed := time.time_ns())
    process, begun = start(*LONG, ENDLESS, cwd=tmp_path), time.monotonic()
    wait_until(lambda: (run := the_run(tmp_path)) and saved(run), process)
    run, startup, kills = the_run(tmp_path), time.monotonic() - begun, []
    while len(kills) < 20:
        if len(kills) % 2:  # at any moment of the start or soon after
            time.sleep(rng.uniform(0, 1.5 * startup))
        else:  # while it trains
            last = saved(run)[-1]
            wait_until(lambda last=last: saved(run)[-1] > last, process)
            time.sleep(rng.uniform(0, 2))
        kill(process)
        kills.append(saved(run)[-1])
        if len(kills) < 20:
            process = start(f"resume={run.path}", cwd=tmp_path)
    print(f"seed {seed}: 20 kills, with these steps saved: {kills}")
    end = f"max_steps={kills[-1] + 7}"
    out, err = start(f"resume={run.path}", end, cwd=tmp_path).communicate()
    assert out.strip() == str(run.path), err
    assert_same(run, launch.run(*LONG, end, "name=undisturbed"))
