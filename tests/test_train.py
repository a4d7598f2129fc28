"""The program, as a user starts it."""

import json
import operator
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ctxenc.run_folder.folder import Run
from tests.programs import started
from tests.tiny import TINY


def as_a_process(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "ctxenc.train", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def trained(home):
    return as_a_process(*TINY, "max_steps=12", "name=once", cwd=home)


def test_the_last_line_of_standard_output_is_the_run_folder(trained, home):
    assert trained.returncode == 0, trained.stderr
    (line,) = trained.stdout.splitlines()
    assert Path(line).parent == home / "experiments" / "once"
    assert Run(line).status["state"] == "finished"


def test_progress_is_plain_lines_where_there_is_no_terminal(trained):
    lines = [line for line in trained.stderr.splitlines() if line.startswith("epoch")]
    assert "step 12/12" in lines[-1]
    for word in ("images/s", "s left", "G ", "D ", "right on"):
        assert word in lines[-1]
    assert "\x1b" not in trained.stderr
    assert "validation PSNR" in trained.stderr
    assert "Traceback" not in trained.stderr
    assert "WARNING" not in trained.stderr
    assert trained.stderr.startswith(f"INFO run folder: {trained.stdout}")


BAD = (
    ["lambda_adv=abc"],
    ["mask=nope"],
    ["mask_height=33"],
    ["learning_rate=1"],
    ["dataset=folder", "dataset.path=/nowhere"],
    ["dataset=folder", "dataset.path=."],
    ["dataset=cifar10", "dataset.data_dir=nothing"],
    ["resume=/nowhere"],
    ["--multirun", "lambda_adv=0,abc"],
    ["--multirun", "seed=0,1", "save_dir=/tmp/shared"],
    ["--multirun", "hydra/launcher=nope", "seed=0,1"],
    ["--multirun", "resume=/nowhere"],
    ["--multirun", "init_from=/nowhere,null", "seed=0,1"],
    ["--multirun", "--config-name=nope", "seed=0,1"],
    ["--multirun", "--config-dir=/nowhere", "seed=0,1"],
    ["--config-dir=/nowhere", "seed=1"],
    ["batch_size=0"],
    ["--multirun", "--cfg", "job"],
    ["--package", "mask"],
)


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_a_non_zero_exit_and_nothing_written(arguments, tmp_path):
    # An address where nobody listens stands for a machine without a network.
    proxy = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = started("train", *arguments, cwd=tmp_path, **proxy)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ctxenc.train: ")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def swept(home):
    """(what was printed, the sweep's folder): of four jobs, two fail."""
    rates = "learning_rate_g=1e-3,1e30"
    arguments = ["--multirun", *TINY, "max_steps=3", "name=sweep", "seed=range(1,3)", rates]
    done = as_a_process(*arguments, cwd=home, JAX_LOG_COMPILES="1")
    return done, Path(done.stdout.splitlines()[-1])


OWN = {
    "tiny.yaml": """
defaults:
  - train
  - override /model: cifar
  - override /loss: reconstruction
  - override /optimizer: adam
  - _self_
model: {generator: {widths: [4, 8], decoder_widths: [8]}}
ema_decay: null
image_size: 16
mask_height: 8
mask_width: 8
batch_size: 32
num_img: 3
max_steps: 2
hydra: {sweeper: {params: {seed: "range(3)", lambda_adv: 0}}}
""",
    "mask/own.yaml": "_target_: ctxenc.masks.boxes.random_box\nmask_height: 8\nmask_width: 8\n",
}


def test_a_sweep_in_ones_own_yaml_runs_and_resumes_like_a_typed_one(home):
    for name, text in OWN.items():
        file = home / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    own = ("--config-dir", "own", "--config-name", "tiny")
    # What is typed wins: two seeds, not three.
    typed = ("seed=1,2", "mask=center,own", "name=own")
    done = started("train", "--multirun", *own, *typed, cwd=home)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    jobs = jobs_of(folder)
    assert [job.path.name for job in jobs] == [
        *("0-mask=center,seed=1", "1-mask=own,seed=1", "2-mask=center,seed=2", "3-mask=own,seed=2")
    ]
    assert {(job.config.lambda_adv, job.config.batch_size) for job in jobs} == {(0, 32)}
    assert {job.config_name for job in jobs} == {"tiny"}
    assert "4 of 4 jobs finished" in done.stderr

    shutil.rmtree(jobs[3].path)
    before = {file: file.stat().st_mtime_ns for file in jobs[0].path.rglob("*")}
    refused = started("train", f"resume={folder}", cwd="/")
    assert "--config-name=train: expected tiny" in refused.stderr
    refused = started("train", f"resume={folder}", "--config-name=tiny", cwd="/")
    assert "started with --config-dir" in refused.stderr
    assert [refused.returncode, refused.stderr.count("\n")] == [1, 1]
    again = (f"--config-dir={home / 'own'}", "--config-name=tiny")
    done = started("train", f"resume={folder}", *again, cwd="/")
    assert done.returncode == 0, done.stderr
    assert [job.path.name for job in jobs_of(folder)] == [job.path.name for job in jobs]
    assert jobs[3].summary["last"]["psnr_db"] > 0
    assert {file: file.stat().st_mtime_ns for file in jobs[0].path.rglob("*")} == before


def jobs_of(folder):
    return [Run(p) for p in sorted(folder.iterdir()) if p.is_dir()]


def test_a_sweep_gives_each_job_a_folder_and_outlives_a_failing_one(swept, home):
    done, folder = swept
    assert folder.parent == home / "experiments" / "sweep"
    jobs = jobs_of(folder)
    assert [job.path.name.split("-")[0] for job in jobs] == ["0", "1", "2", "3"]
    assert jobs[0].path.name == "0-learning_rate_g=0.001,seed=1"
    for job in jobs:
        expected = "failed" if "learning_rate_g=1e+30" in job.path.name else "finished"
        assert job.state == expected, done.stderr
        traced = "Traceback" in job.log_file.read_text()
        assert traced == (expected == "failed")
        assert (job.path / ".hydra" / "overrides.yaml").exists()
    rows = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [row["state"] for row in rows] == [job.state for job in jobs]
    assert ["DivergedError" in str(row["error"]) for row in rows].count(True) == 2
    assert done.returncode == 1
    assert "2 of 4 jobs finished, 2 failed" in done.stderr
    assert f"python -m ctxenc.compare {folder}" in done.stderr


def test_a_sweep_over_numbers_and_seeds_compiles_once(swept):
    told = swept[0].stderr
    first, later = told.split("0-learning_rate_g=0.001,seed=1: finished")
    assert first.count("Finished XLA compilation of jit(train_step)") == 1
    assert "Finished XLA compilation" not in later


def test_a_resumed_sweep_does_what_is_missing_or_unfinished(swept, home):
    folder = swept[1]
    jobs = jobs_of(folder)
    whole, half = (job for job in jobs if job.state == "finished")
    half.write_status("running", step=1, seconds=1.0)  # killed after its last checkpoint
    shutil.rmtree(jobs[-1].path)
    before = {file: file.stat().st_mtime_ns for file in whole.path.rglob("*")}
    done = started("train", f"resume={folder}", cwd=home.parent)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [str(folder)]
    assert {file: file.stat().st_mtime_ns for file in whole.path.rglob("*")} == before
    states = [job.state for job in jobs_of(folder)]
    assert sorted(states) == ["failed", "failed", "finished", "finished"]
    assert half.status["seconds"] > 1
    assert len(half.lines("validation")) == 1


def test_a_sweep_without_failures_exits_with_zero(home):
    done = started("train", "--multirun", *TINY, "max_steps=2", "image_size=16,24", cwd=home)
    assert done.returncode == 0, done.stderr
    runs = jobs_of(Path(done.stdout.splitlines()[-1]))
    sizes = operator.itemgetter("image_size", "mask_height", "mask_width")
    saved = [yaml.safe_load((run.path / ".hydra" / "config.yaml").read_text()) for run in runs]
    assert list(map(sizes, saved)) == [(16, 8, 8), (24, 12, 12)]
    more = started("train", f"resume={runs[0].path}", "max_steps=3", cwd=home)
    assert more.returncode == 0, more.stderr
    assert runs[0].status["step"] == 3


def test_sigterm_leaves_a_checkpoint_and_resume_goes_on(home):
    command = [sys.executable, "-m", "ctxenc.train", *TINY, "max_steps=100000", "name=stopped"]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folder = home / "experiments" / "stopped"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(folder.glob("*/metrics.jsonl")):
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, stderr.decode()
    (run,) = map(Run, folder.iterdir())
    assert run.status["state"] == "interrupted"
    stopped_at = run.status["step"]
    assert max(int(p.name) for p in run.checkpoints.iterdir() if p.name.isdigit()) == stopped_at

    done = started("train", f"resume={run.path}", f"max_steps={stopped_at + 3}", cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run.path)
    assert run.status["step"] == stopped_at + 3


def test_a_damaged_checkpoint_is_one_line(trained, home):
    run = Run(trained.stdout.strip())
    for file in (run.checkpoints / "12").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    done = started("train", f"resume={run.path}", "max_steps=20", cwd=home)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert str(run.checkpoints) in done.stderr.splitlines()[-1]


def test_hydras_own_flags_work(tmp_path):
    done = started("train", "--cfg", "job", "mask=random", cwd=tmp_path)
    assert done.returncode == 0
    assert "ctxenc.masks.boxes.random_box" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_one_call_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import ctxenc

    run = ctxenc.run(*TINY, "mask=random", "max_steps=2")
    assert run.summary["last"]["psnr_db"] > 0
    assert json.loads((run.path / "status.json").read_text())["state"] == "finished"
    again = ctxenc.Run(run.path)
    assert again.lines("validation") == run.lines("validation")
