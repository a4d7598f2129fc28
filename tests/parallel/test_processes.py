"""Several processes and several devices train what one trains."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest

from ctxenc import launch
from ctxenc.errors import UserError
from ctxenc.parallel import processes
from tests.faults.ends import final_state, saved, without_times
from tests.faults.programs import SHORT, TRAIN, start, wait_until

# Rounding in another order flips a ReLU now and then; at this pace that does not grow.
SLOWLY = [*SHORT, "batch_size=256", "learning_rate_g=1e-5", "learning_rate_d=1e-5"]

# Training that is asked to stop at step 13, however slow the machine is.
STOPPED = """
import signal
from ctxenc import train
from ctxenc.run_folder.session import Session

def at(self, step, taken=Session.at):
    taken(self, step)
    if step == 13:
        signal.raise_signal(signal.SIGTERM)

Session.at = at
train.main()
"""


def free_port():
    """A free port below those that systems hand out by themselves: nobody is given it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20000, 32768)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def start_two(*arguments, cwd, second=TRAIN):
    """Two processes of two devices each, as one job on this machine; `second` is what one runs."""
    job = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    return [
        start(
            "distributed=true",
            *arguments,
            cwd=cwd,
            program=(TRAIN, second)[index],
            **job,
            JAX_NUM_CPU_DEVICES="2",
            JAX_PROCESS_ID=str(index),
        )
        for index in range(2)
    ]


def finish(processes):
    """Both ends: [(exit status, output, errors), …]."""
    ends = [process.communicate(timeout=500) for process in processes]
    return [(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]


def the_run(cwd, name):
    (folder,) = (cwd / "experiments" / name).iterdir()
    return launch.Run(folder)


def wait_for_a_checkpoint(processes, cwd):
    folders = cwd / "experiments" / "two"
    wait_until(
        lambda: any(map(launch.has_checkpoint, map(launch.Run, folders.glob("*")))), *processes
    )


def assert_close(found, expected):
    """Sums over devices are made in another order, so the last bits differ."""
    arrays, wanted = final_state(found), final_state(expected)
    assert arrays.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(arrays[name], wanted[name], rtol=1e-3, atol=1e-5, err_msg=name)
    for line, other in zip(without_times(found), without_times(expected), strict=True):
        assert line.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, float):
                value = pytest.approx(value, rel=1e-3, abs=0.01)  # accuracies go by 1/256
            assert line[name] == value, name


def test_two_processes_stop_together_and_one_goes_on(tmp_path, monkeypatch):
    """A signal to one stops both, a step later; one process goes on from what they saved."""
    monkeypatch.chdir(tmp_path)
    many = [*SLOWLY, "batch_size=128", "num_img=130"]  # in the grid: more than a batch
    command = [*many, "max_steps=100000", "name=two"]
    both = start_two(*command, cwd=tmp_path, second=("-c", STOPPED))
    (status, out, err), (status_1, out_1, err_1) = finish(both)
    assert (status, status_1) == (143, 143), err + err_1
    assert "experiments" not in out + out_1  # Gloo has its say there
    assert "stopped by SIGTERM" in err
    run = the_run(tmp_path, "two")
    assert (run.status["state"], run.status["step"]) == ("interrupted", 14)
    assert saved(run)[-1] == 14
    for words in ("images/s", "training and", "validation PSNR"):
        assert words not in err_1  # process 0 shows what there is to see

    launch.run(f"resume={run.path}", "max_steps=21")
    assert run.status["state"] == "finished"
    alone = launch.run(*many, "max_steps=21", "name=one")
    assert_close(run, alone)
    assert run.dataset == alone.dataset


def test_a_job_that_nothing_names_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(UserError, match=r"JAX_NUM_PROCESSES=two: expected a whole number\. Outs"):
        processes.join()
    monkeypatch.delenv("JAX_NUM_PROCESSES")
    run = [sys.executable, "-c", "from ctxenc.parallel import processes; processes.join()"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "distributed=true: coordinator_address should be defined" in done.stderr


def test_processes_that_the_users_program_has_joined_are_those_of_the_run(monkeypatch):
    import jax

    begun = []
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: begun.append("anew"))
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "_client", lambda: None)
    monkeypatch.setattr(processes.threading, "Thread", mock.Mock)
    monkeypatch.setattr(processes.atexit, "register", lambda *given: begun.append(given))
    for name in ("_index", "_count"):
        monkeypatch.setattr(processes, name, getattr(processes, name))
    processes.join()
    processes.join()  # of a second run
    assert not processes.is_main()
    assert len(begun) == 1
    assert begun[0][0] is processes._end


def test_alone_everything_is_ones_own(capsys):
    assert processes.is_main()
    assert processes.together(lambda: 3) == 3
    assert processes.first(lambda: "here") == "here"
    processes.abandon(ValueError("nobody is told"))
    with pytest.raises(ValueError, match="mine"):
        processes.together(lambda: (_ for _ in ()).throw(ValueError("mine")))


@pytest.mark.slow
def test_four_devices_as_one_process_or_two_are_the_same_and_go_on_as_two_and_one(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = finish(start_two(*SLOWLY, "name=two", cwd=tmp_path))
    assert [status for status, *_ in done] == [0, 0], done
    last = {out.splitlines()[-1] for _, out, _ in done}
    assert last == {str(the_run(tmp_path, "two").path)}
    command = start(*SLOWLY, "name=four", cwd=tmp_path, JAX_NUM_CPU_DEVICES="4")
    assert finish([command])[0][0] == 0
    two, four = the_run(tmp_path, "two"), the_run(tmp_path, "four")
    assert (two.path / "env.json").read_text().count("cpu:") == 4
    assert_close(two, four)
    whole = launch.run(*SLOWLY, "max_steps=40", "name=one")
    for devices in ("2", "1"):
        run = launch.Run(shutil.copytree(four.path, tmp_path / devices))
        more = [f"resume={run.path}", "max_steps=40"]
        ends = finish([start(*more, cwd=tmp_path, JAX_NUM_CPU_DEVICES=devices)])
        assert ends[0][0] == 0, ends
        assert_close(run, whole)
    ends = finish(start_two(f"resume={four.path}", "max_steps=40", cwd=tmp_path))
    assert [status for status, *_ in ends] == [0, 0], ends
    assert_close(four, whole)


@pytest.mark.slow
def test_two_processes_begin_with_another_runs_weights_as_one_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = launch.run(*SHORT, "max_steps=2", "name=source")
    command = [*SLOWLY, "max_steps=3", f"init_from={source.path}", "ema_decay=0.9"]
    ends = finish(start_two(*command, "name=two", cwd=tmp_path))
    assert [status for status, *_ in ends] == [0, 0], ends
    two, one = the_run(tmp_path, "two"), launch.run(*command, "name=one")
    assert_close(two, one)
    described = [json.loads((r.path / "env.json").read_text())["init_from"] for r in (two, one)]
    assert described[0] == described[1]
    ends = finish(start_two(*command[:-2], "init_from=nowhere", "name=none", cwd=tmp_path))
    assert [status for status, *_ in ends] == [1, 1], ends
    assert "not a run folder" in ends[0][2]
    assert not (tmp_path / "experiments" / "none").exists()


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_a_killed_process_takes_the_other_with_it(tmp_path, failing):
    """Within `processes.HEARTBEAT` seconds, and the last checkpoint is whole."""
    both = start_two(*SHORT, "max_steps=100000", "name=two", cwd=tmp_path)
    wait_for_a_checkpoint(both, tmp_path)
    os.kill(both[failing].pid, signal.SIGKILL)
    killed = time.monotonic()
    ends = finish(both)
    assert all(status != 0 for status, *_ in ends), ends
    print(f"the other ended {time.monotonic() - killed:.0f} s later")
    assert final_state(the_run(tmp_path, "two"))


@pytest.mark.slow
def test_an_image_missing_in_one_process_is_named_by_the_run(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(80):
        picture = Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8))
        picture.save(tmp_path / "pictures" / f"{i}.png")
    data = ["dataset=folder", "dataset.path=pictures", "dataset.resize=18"]
    both = start_two(*SHORT, *data, "batch_size=16", "max_steps=100000", "name=two", cwd=tmp_path)
    wait_for_a_checkpoint(both, tmp_path)
    shutil.rmtree(tmp_path / "pictures")
    ends = finish(both)
    assert [status for status, *_ in ends] == [1, 1], ends
    run = the_run(tmp_path, "two")
    assert run.status["state"] == "failed"
    assert "could be read at the start" in run.status["error"]
    assert saved(run)
