"""MLflow, where the extra is installed: what its client, and so its pages, are given."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ctxenc import launch
from ctxenc.errors import Interrupted
from tests.tiny import TINY
from tests.tracking.test_trackers import BRIEF, fail, stop_after

mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def runs(store="experiments/mlflow.db", experiment="context_encoder"):
    client = mlflow.MlflowClient(f"sqlite:///{Path(store).absolute()}")  # it keeps them by URI
    found = client.get_experiment_by_name(experiment)
    return client, client.search_runs([found.experiment_id]) if found else []


def history(client, of, name):
    return [(m.step, m.value) for m in client.get_metric_history(of.info.run_id, name)]


def test_it_is_given_parameters_metrics_grids_the_summary_and_the_status(tmp_path):
    run = launch.run(*BRIEF, "tracker=mlflow", "seed=3")
    client, (found,) = runs()
    assert (found.info.run_name, found.info.status) == (run.path.name, "FINISHED")
    assert found.data.tags["run_folder"] == str(run.path)
    assert found.data.params["seed"] == "3"
    assert found.data.params["model.generator.widths"] == "[4, 8]"
    for split, name in [("train", "generator_loss"), ("validation", "psnr_db")]:
        lines = [(line["step"], line[name]) for line in run.lines(split)]
        assert history(client, found, f"{split}/{name}") == lines
    best = found.data.metrics["best/psnr_db"]
    assert best == pytest.approx(run.summary["best"]["psnr_db"])
    grids = [f.path for f in client.list_artifacts(found.info.run_id, "images")]
    for step in (3, 5):
        (name,) = [g for g in grids if f"+step+{step}+" in g and g.endswith(".png")]
        saved = client.download_artifacts(found.info.run_id, name, str(tmp_path))
        with Image.open(saved) as shown, Image.open(run.sample(step)) as expected:
            assert shown.tobytes() == expected.tobytes()
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("action", "error", "status"),
    [
        (fail, RuntimeError, "FAILED"),
        (lambda: signal.raise_signal(signal.SIGTERM), Interrupted, "KILLED"),
    ],
)
def test_a_run_that_ended_early_says_so_and_goes_on_in_the_same_run(
    monkeypatch, tmp_path, action, error, status
):
    with monkeypatch.context() as stopped:
        stop_after(stopped, 3, action)
        with pytest.raises(error):
            launch.run(*BRIEF, "tracker=mlflow")
    assert [found.info.status for found in runs()[1]] == [status]
    (folder,) = (tmp_path / "experiments" / "context_encoder").iterdir()
    monkeypatch.chdir("/")
    run = launch.run(f"resume={folder}", "max_steps=6")
    client, (found,) = runs(tmp_path / "experiments" / "mlflow.db")
    assert found.info.status == "FINISHED"
    steps = {at for at, _ in history(client, found, "train/generator_loss")}
    assert steps == {line["step"] for line in run.lines("train")} == {*range(1, 7)}


BEGIN = """
import sys
from ctxenc.run_folder.folder import Run
from ctxenc.tracking.mlflow import MLflow
MLflow("store", None, "jobs").begin(Run(sys.argv[1]), {}, 0, None)
"""


def test_jobs_that_begin_at_once_make_one_store(tmp_path):
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, name], env={**os.environ, "PYTHONPATH": ROOT}
        )
        for name in "abc"
    ]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert {run.info.run_name for run in runs("store/mlflow.db", "jobs")[1]} == {*"abc"}


def test_another_store_gets_a_run_of_its_own(tmp_path):
    run = launch.run(*TINY, "max_steps=2", "tracker=mlflow")
    launch.run(f"resume={run.path}", "max_steps=3", f"tracker.uri=sqlite:///{tmp_path}/other.db")
    assert len(runs()[1]) == 1
    _, (found,) = runs(tmp_path / "other.db")
    assert found.info.run_name == run.path.name
    assert " WARNING " not in run.log_file.read_text()


def test_a_server_that_is_not_there_is_one_warning(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port
    run = launch.run(*BRIEF, "tracker=mlflow")
    assert run.status["state"] == "finished"
    (warning,) = [ln for ln in run.log_file.read_text().splitlines() if " WARNING " in ln]
    assert "MLflow lacks something of this run: MlflowException: API request" in warning
