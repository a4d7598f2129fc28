"""`kill -9` at any moment costs no more than the work since the last checkpoint."""

import functools
import itertools
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen

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


def trainings():
    """A process whose children train, one after another."""
    program = [sys.executable, Path(__file__).with_name("killed_at.py")]
    return Popen(program, stdin=PIPE, stdout=PIPE, text=True)


def train(process, folder, at=0):
    """A new run, or a folder's run resumed: (killed before that operation, all operations)."""
    folder.mkdir(exist_ok=True)
    arguments = [f"resume={run.path}"] if (run := configured(folder)) else SHORT
    print(json.dumps([at, str(folder), *arguments]), file=process.stdin, flush=True)
    status, said, counted = json.loads(process.stdout.readline())
    assert status in (0, -9), (folder, at, said)
    return status == -9, counted


def configured(folder):
    """The run in a folder, which can be resumed once its configuration is there."""
    found = list(folder.glob("experiments/*/*/.hydra/config.yaml"))
    return launch.Run(found[0].parents[1]) if found else None


class Operations:
    """How many file operations processes have; threads make it a few more or fewer."""

    def __init__(self, folder):
        """Counts those of two runs in a folder: ``undisturbed``, and killed once, ``resumed``."""
        with trainings() as process:
            _, counted = train(process, folder / "undisturbed")
            self.whole, self.saved_after = counted["operations"], counted["saved"]
            self.killed, _ = train(process, folder / "resumed", self.whole // 2)
            self.restart = 0
            left = self.left(folder / "resumed")
            self.restart = train(process, folder / "resumed")[1]["operations"] - left

    def left(self, folder):
        """Those of the next process for a folder's run, new, begun anew or resumed."""
        steps = saved(run) if (run := configured(folder)) else []
        before = self.saved_after[str(max(steps))] - self.restart if steps else 0
        return self.whole - before


def killed_four_times(folder, operations, tenth):
    """The operations, in that tenth of a run, that new ones were killed at; all kills; the folders.

    What was killed is resumed, or begun anew, and killed at any of its operations. The first run
    is killed at the very first operation, the last at the last.
    """
    rng, folders, new, kills, killed = random.Random(tenth), [], [], [], False
    low, high = tenth * operations.whole // 10 + 1, (tenth + 1) * operations.whole // 10
    at = {0: low, 9: high}.get(tenth, rng.randint(low, high))
    with trainings() as process:
        while len(kills) < 4:
            if resumes := killed:
                at = rng.randint(1, left := operations.left(folders[-1]))
            else:  # the first, or the one before had fewer operations than was thought, and ended
                at, left = rng.randint(low, high) if folders else at, operations.whole
                folders.append(folder / f"{tenth}-{len(folders)}")
                assert len(folders) <= 4
            killed, _ = train(process, folders[-1], at)
            if killed:
                kills.append(f"{at}/{left}")
                new += [] if resumes else [at]
        assert not train(process, folders[-1])[0]
    return new, kills, folders


@pytest.mark.slow
def test_runs_killed_at_forty_file_operations_end_to_the_bit(tmp_path):
    """From the first operation to the last; each is resumed, or begun anew, until it ends."""
    operations = Operations(tmp_path)
    undisturbed, whole = configured(tmp_path / "undisturbed"), operations.whole
    kill_four_times = functools.partial(killed_four_times, tmp_path, operations)
    with ThreadPoolExecutor(2) as pool:
        new, kills, folders = zip(*pool.map(kill_four_times, range(10)), strict=True)
    for folder in (tmp_path / "resumed", *itertools.chain(*folders)):
        assert_same(configured(folder), undisturbed)
    assert operations.killed
    assert [len(k) for k in kills] == [4] * 10
    new = sorted(itertools.chain(*new))
    assert new[0] == 1
    assert new[-1] > 0.9 * whole
    ends = sum(map(len, folders)) + 1
    print(f"41 kills, {ends} ends; new runs of {whole} operations at {new}, all {kills}")


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
