"""Runs and sweeps that are followed while they train."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from ctxenc import compare
from ctxenc.comparison import watch
from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import damage, fake_run
from tests.faults.programs import start, wait_until
from tests.tiny import TINY


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(watch, "SECONDS", 0.01)


@pytest.fixture
def sweep(tmp_path):
    """Six jobs, five of them begun; and while the test lasts, the second trains."""
    fake_run(tmp_path / "0-a", 15.0)
    training = fake_run(tmp_path / "1-a", state="running", batch_size=32, max_steps=400)
    training.append_metrics({"split": "train", "step": 200, "images_per_second": 64.0})
    fake_run(tmp_path / "2-a", 16.0, state="failed", error="DivergedError: step 7:\nnan")
    fake_run(tmp_path / "3-a", state="interrupted", error="SIGTERM")
    fake_run(tmp_path / "4-a", state="running")  # nobody trains it
    Sweep(tmp_path).update(command=["x=1,2"], planned=6)
    with Sweep(tmp_path).lock(), training.lock():
        yield tmp_path


def looked(*folders, metric="psnr_db"):
    watcher = watch.Watcher([*map(str, folders)], metric)
    watcher.look()
    return watcher


def cells(watcher):
    """The lines of the table, by the job."""
    lines = watcher.text(watcher.jobs).split("\n\n")[0].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("run"))
    return {line.split()[0]: line.split()[1:] for line in lines[start + 1 :]}


def test_each_job_stands_as_it_does(sweep):
    watcher = looked(sweep)
    counts, left = watcher.title.split(", about ")
    states = "1 finished, 1 running, 1 waiting, 1 failed, 1 killed, 1 interrupted"
    assert counts == f"6 jobs: {states}"
    assert left.endswith(" left")
    found = cells(watcher)
    assert found["0-a"] == ["finished", "100", "61", "s", "15.00"]
    assert found["1-a"][:2] == ["running", "200/400"]
    assert [found[f"{n}-a"][0] for n in (2, 3, 4)] == ["failed", "interrupted", "killed"]
    text = " ".join(watcher.text(watcher.jobs).split())
    for reason in ("DivergedError: step 7: nan", "SIGTERM", "no process here trains it any more"):
        assert reason in text
    assert "still training" not in text


def test_time_left_is_that_of_the_steps_that_are_left_at_the_latest_rate(sweep):
    (job,) = [job for job in looked(sweep).jobs if job.state == "running"]
    assert (job.step, job.total_steps) == (200, 400)
    assert job.ends == pytest.approx(time.time() + 200 * 32 / 64, abs=20)
    assert job.takes == pytest.approx(400 * 32 / 64)


def test_epochs_are_as_many_steps_as_in_training(tmp_path):
    config = {"max_steps": None, "n_epoch": 3, "batch_size": 32}
    run = fake_run(tmp_path, state="running", **config)
    run.write_dataset({"train_images": 100})
    with run.lock():
        (job,) = looked(tmp_path).jobs
    assert job.total_steps == 9


def test_another_metric_can_be_followed(sweep):
    watcher = looked(sweep, metric="ssim")
    assert "last SSIM" in watcher.text(watcher.jobs)
    assert cells(watcher)["0-a"][-1] == "0.150"


def test_what_a_stopped_sweep_has_not_begun_is_waited_for_by_nobody(tmp_path):
    fake_run(tmp_path / "0-a")
    Sweep(tmp_path).update(planned=3)
    watcher = looked(tmp_path)
    assert (watcher.title, watcher.active) == ("3 jobs: 1 finished, 2 not begun", False)


def test_a_sweep_of_which_nothing_has_begun_is_followed(tmp_path):
    Sweep(tmp_path).update(planned=2)
    with Sweep(tmp_path).lock():
        watcher = looked(tmp_path)
        assert (watcher.title, watcher.active) == ("2 jobs: 2 waiting", True)
        assert watcher.fitting().startswith("2 jobs: 2 waiting")


def test_neither_a_run_nor_a_sweep_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no run here or below"):
        looked(tmp_path)


@pytest.mark.parametrize("begun", [True, False])
def test_a_folder_that_is_not_there_is_said_beside_a_sweep(tmp_path, begun):
    Sweep(tmp_path / "sweep").update(planned=2)
    if begun:
        fake_run(tmp_path / "sweep" / "0-a")
    with pytest.raises(UserError, match="typo: no such folder"):
        looked(tmp_path / "sweep", tmp_path / "typo")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"state": 1, "step": "x"}', b"\xff"])
@pytest.mark.parametrize("file", ["status.json", "summary.json", "dataset.json", "sweep.json"])
def test_damaged_files_are_left_out(sweep, file, content):
    damage(Run(sweep if file == "sweep.json" else sweep / "1-a"), file, content)
    watcher = looked(sweep)
    assert watcher.text(watcher.jobs)
    assert "1 finished" in watcher.title


def test_only_what_has_changed_is_read_again(sweep, monkeypatch):
    watcher, read = looked(sweep), []
    before = watch._read
    monkeypatch.setattr(watch, "_read", lambda run, *rest: read.append(run) or before(run, *rest))
    watcher.look()
    assert not read
    run = Run(sweep / "1-a")
    run.append_metrics({"split": "train", "step": 300, "images_per_second": 64.0})
    os.utime(run.path / "metrics.jsonl", (2e9, 2e9))  # clocks of file systems may be coarse
    watcher.look()
    assert [one.path for one in read] == [run.path]
    assert cells(watcher)["1-a"][1] == "300/400"


def test_only_the_end_of_a_long_file_is_read(tmp_path):
    run = fake_run(tmp_path, state="running", max_steps=10**6)
    with (tmp_path / "metrics.jsonl").open("a") as out:
        for step in range(1000, 100_000):
            out.write(f'{{"split": "train", "step": {step}, "generator_loss": 0.1}}\n')
    assert run.lines("train", 1000)[-1]["step"] == 99_999
    assert len(run.lines("train", 1000)) < 20
    with run.lock():
        assert looked(tmp_path).jobs[0].step == 99_999


def test_what_does_not_fit_the_terminal_is_said_and_what_tells_most_stays(sweep, monkeypatch):
    for number in range(6, 100):
        fake_run(sweep / f"{number}-a")
    monkeypatch.setenv("LINES", "20")
    watcher = looked(sweep)
    lines = watcher.fitting().splitlines()
    assert len(lines) < 20
    (hidden,) = [line for line in lines if line.endswith("more not shown.")]
    jobs = [line.split()[0] for line in lines if re.match(r"\d+-a  ", line)]
    assert jobs[0] == "1-a"  # it is running
    shown = set(jobs)
    assert int(hidden.split()[0]) == len(watcher.jobs) - len(shown)
    assert {"1-a", "2-a", "3-a", "4-a"} <= shown


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_no_number_is_broken(sweep, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "9-" + "lambda_adv=0.001,mask=random," * 5
    run = fake_run(sweep / long, state="running", max_steps=10**9)
    with run.lock():
        watcher = looked(sweep)
        text = watcher.text(watcher.jobs)
    assert max(map(len, text.splitlines())) <= columns
    assert "100/1,000,000,000" in text.split()
    assert text.split().count("15.00") == len(watcher.jobs) - 1


def test_a_thousand_runs_are_followed_cheaply(tmp_path):
    for number in range(100):
        fake_run(tmp_path / f"{number}-a")
    watcher = looked(tmp_path)
    before = time.process_time()
    watcher.look()
    assert time.process_time() - before < 0.1  # a thousand of them within a second


def test_it_ends_with_every_job_once_nobody_is_at_work(tmp_path, capsys):
    for number in range(3):
        fake_run(tmp_path / f"{number}-a", 15 + number)
    watch.watch([str(tmp_path)], "psnr_db")
    out = capsys.readouterr().out
    assert out.startswith("3 jobs: 3 finished\n")
    assert [line.split()[-1] for line in out.splitlines()[2:]] == ["15.00", "16.00", "17.00"]


def test_what_is_no_terminal_is_given_what_has_changed(sweep, capsys, monkeypatch):
    looks = []

    def sleep(_):
        looks.append(1)
        if len(looks) == 3:  # the second time, nothing has changed
            fake_run(sweep / "5-a", 18.0)
        if len(looks) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watch.watch([str(sweep)], "psnr_db")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count(" jobs: ") == 2
    assert out.count("5-a") == 1
    assert out.count("0-a") == 1


@pytest.mark.parametrize(
    "option", ["--html=x", "--format=csv", "--top=3", "--all", "--sort=nope", "--sort=swd"]
)
def test_other_options_are_refused_in_one_line(sweep, option, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare", str(sweep), "--watch", option])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    out, error = capsys.readouterr()
    assert (ended.value.code, out, len(error.splitlines())) == (1, "", 1)
    assert option.partition("=")[0] in error


def test_a_real_sweep_is_watched_to_its_end(tmp_path):
    jobs = (*TINY, "max_steps=40", "log_every=5", "eval_every=10", "n_update=40")
    jobs += ("learning_rate_g=1e-3,1e30", f"hydra.sweep.dir={tmp_path}/s")
    train = start("--multirun", *jobs, cwd=tmp_path)
    wait_until((tmp_path / "s" / "sweep.json").exists, train)
    watching = start("s", "--watch", cwd=tmp_path, program=("-m", "ctxenc.compare"), COLUMNS="100")
    train.communicate()
    out, error = watching.communicate(timeout=60)
    assert (watching.returncode, error) == (0, "")
    last = out[out.rindex("2 jobs: ") :]
    assert last.startswith("2 jobs: 1 finished, 1 failed\n")
    assert "DivergedError" in last
    assert "1 running" in out
    assert "waiting" in out
    row = json.loads((tmp_path / "s" / "sweep.json").read_text())["jobs"][0]
    assert f"{row['last']['psnr_db']:.2f}" in last


def test_on_a_terminal_one_table_is_drawn_anew_and_ctrl_c_ends_it(sweep):
    ours, theirs = os.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "ctxenc.compare", str(sweep), "--watch"],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    out = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while part := os.read(ours, 65536):
            out += part
            if out.count(b"6 jobs: ") == 2:
                watching.send_signal(signal.SIGINT)
    os.close(ours)
    assert watching.wait() == 130
    text = out.decode()
    assert text.index("\x1b[?25l") < text.index("6 jobs: ")  # the cursor is hidden
    assert text.index("\x1b[?25h") < text.index("ctxenc.compare: stopped by SIGINT")
    frames = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).split("6 jobs: ")
    assert len(frames) >= 3
    assert all(re.search(r"1-a +running +200/400", frame) for frame in frames[1:])
