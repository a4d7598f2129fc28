"""`kill -9` at any moment costs no more than the work since the last checkpoint."""

import random
import time

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
