"""Sweeps through launchers and sweepers of other packages, where their extras are installed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ctxenc.run_folder.folder import Run
from tests.tiny import TINY

JOBS = (*TINY, "max_steps=3", "lambda_adv=0,1e-3")


def extra(module, name):
    return pytest.importorskip(module, reason=f"the extra `{name}` is not installed")


def ctxenc_train(*arguments, cwd):
    command = [sys.executable, "-m", "ctxenc.train", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def rows_of(done):
    folder = Path(done.stdout.splitlines()[-1])
    return folder, json.loads((folder / "sweep.json").read_text())["jobs"]


def test_joblib_runs_every_job_although_some_fail(tmp_path):
    extra("hydra_plugins.hydra_joblib_launcher", "joblib")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = ctxenc_train("--multirun", *launcher, *JOBS, "learning_rate_g=1e-3,1e30", cwd=tmp_path)
    folder, rows = rows_of(done)
    assert [row["state"] for row in rows] == ["finished", "failed"] * 2, done.stderr
    assert "DivergedError" in rows[1]["error"]
    assert "Traceback" in Run(folder / rows[1]["folder"]).log_file.read_text()
    assert "2 of 4 jobs finished, 2 failed" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("module", "name", "overrides"),
    [
        ("hydra_plugins.hydra_submitit_launcher", "submitit", ("hydra/launcher=submitit_local",)),
        (
            "hydra_plugins.hydra_ray_launcher",
            "ray",
            ("hydra/launcher=ray", "+hydra.launcher.ray.remote.num_cpus=1"),
        ),
    ],
)
def test_submitit_and_ray_run_every_job(module, name, overrides, tmp_path):
    extra(module, name)
    done = ctxenc_train("--multirun", *overrides, *JOBS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in rows_of(done)[1]] == ["finished", "finished"]


SEARCH = """
defaults:
  - train
  - _self_
  - override hydra/sweeper: optuna
  - override hydra/launcher: joblib
hydra:
  sweeper: {n_trials: 3, n_jobs: 2, params: {lambda_adv: "interval(0,0.1)"}}
  launcher: {n_jobs: 2}
"""


def test_a_search_in_ones_own_yaml_keeps_the_numbers_that_it_gives(tmp_path):
    extra("hydra_plugins.hydra_optuna_sweeper", "optuna")
    extra("hydra_plugins.hydra_joblib_launcher", "joblib")
    (tmp_path / "search.yaml").write_text(SEARCH)
    own = ("--config-dir=.", "--config-name=search")
    done = ctxenc_train("--multirun", *own, *TINY, "max_steps=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder, rows = rows_of(done)
    assert [row["state"] for row in rows] == ["finished"] * 3
    command = json.loads((folder / "sweep.json").read_text())["command"]
    own = [text for text in command if text.startswith("hydra.")]
    assert own == ["hydra.sweeper.direction=maximize"]
    assert len(list((folder / ".gpu_slots").iterdir())) == 2  # processes


def test_a_search_is_resumed_where_it_was_killed(tmp_path):
    extra("hydra_plugins.hydra_optuna_sweeper", "optuna")
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "monitor=l1_percent")
    command = ["--multirun", *search, *TINY, "max_steps=3", "learning_rate_g=interval(1e-4,1e-2)"]
    whole, rows = rows_of(ctxenc_train(*command, "name=whole", cwd=tmp_path))
    best = min(rows, key=lambda row: row["last"]["l1_percent"])
    found = OmegaConf.load(whole / "optimization_results.yaml")
    assert found.best_value == best["last"]["l1_percent"]

    process = subprocess.Popen(
        [sys.executable, "-m", "ctxenc.train", *command, "name=killed"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("experiments/killed/*/2-*")):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (killed,) = tmp_path.glob("experiments/killed/*")
    done = ctxenc_train(f"resume={killed}", cwd="/")
    assert done.returncode == 0, done.stderr
    again = json.loads((killed / "sweep.json").read_text())["jobs"]
    assert [(row["folder"], row["last"]) for row in again] == [
        (row["folder"], row["last"]) for row in rows
    ]
