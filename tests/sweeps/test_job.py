"""One job at a time, without training: `train` is a stand-in."""

import pytest
from omegaconf import OmegaConf

from ctxenc.errors import UserError
from ctxenc.runs.folder import Run
from ctxenc.sweeps import job as jobs
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import figures


@pytest.fixture
def trained(monkeypatch):
    """What is trained, and how: the stand-in finishes every job at 15 dB."""
    calls = []

    def train(plan, run):
        calls.append("begun")
        finish(run)

    def finish(run):
        run.write_summary({"step": 3, "last": figures(15.0), "best": figures(15.0)})
        run.write_dataset({"mask_hash": "m", "test_fingerprint": "t"})
        run.write_status("finished", step=3, seconds=1.0)

    def resume(path):
        calls.append("resumed")
        finish(Run(path))

    monkeypatch.setattr(jobs, "train", train)
    monkeypatch.setattr(jobs.launch, "plan", lambda composed: None)
    monkeypatch.setattr(jobs.launch, "resume", resume)
    return calls


@pytest.fixture
def run(tmp_path):
    Sweep(tmp_path).begin(["seed=1,2"], 2)
    (tmp_path / "0-seed=1").mkdir()
    return Run(tmp_path / "0-seed=1")


def do(run, sweeper="basic", objective="psnr_db"):
    choices = {"hydra/sweeper": sweeper, "hydra/launcher": "basic"}
    runtime = {"output_dir": str(run.path), "choices": choices}
    sweep, overrides = {"dir": str(run.path.parent)}, {"task": ["seed=1"]}
    hydra = OmegaConf.create({"runtime": runtime, "sweep": sweep, "overrides": overrides})
    composed = OmegaConf.create(
        {"seed": 1, "objective": objective, "save_dir": "checkpoints", "dataset": {}}
    )
    return jobs.job(composed, hydra)


def test_a_new_job_is_begun_and_gives_the_objective(run, trained):
    assert do(run) == 15.0
    assert do(run, objective="l1_percent") == figures(15.0)["l1_percent"]
    assert trained == ["begun"]  # once: a finished job is left alone
    assert list(run.config.keys()) == ["seed", "objective", "save_dir", "dataset"]
    (row,) = Sweep(run.path.parent).rows
    assert (row["state"], row["overrides"]) == ("finished", ["seed=1"])


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_an_unfinished_job_goes_on_where_it_has_a_checkpoint_and_begins_anew_elsewhere(
    run, trained, state, monkeypatch
):
    run.write_config(OmegaConf.create({"save_dir": "checkpoints"}))
    run.write_status(state, step=2, seconds=1.0, error="x")
    run.append_metrics({"split": "train", "step": 2})
    monkeypatch.setattr(jobs.launch, "saved_steps", lambda folder: [2])
    do(run)
    assert trained == ["resumed"]
    assert len(run.metrics()) == 1
    run.write_status(state, step=2, seconds=1.0, error="x")
    monkeypatch.setattr(jobs.launch, "saved_steps", lambda folder: [])
    do(run)
    assert trained == ["resumed", "begun"]
    assert run.metrics() == []


def test_what_failed_in_a_search_stays_failed(run, trained):
    run.write_status("failed", step=2, seconds=1.0, error="x")
    assert do(run, sweeper="optuna") is None
    assert trained == []


def test_a_failure_before_training_is_in_the_jobs_own_log(run, trained, monkeypatch, capsys):
    def refuse(composed):
        raise UserError("dataset.path=/gone: no such folder")

    monkeypatch.setattr(jobs.launch, "plan", refuse)
    assert do(run) is None
    assert run.status["error"] == "UserError: dataset.path=/gone: no such folder"
    assert "Traceback" in run.log_file.read_text()
    assert "0-seed=1: failed (UserError: dataset.path=/gone" in capsys.readouterr().err
    assert Sweep(run.path.parent).rows[0]["state"] == "failed"


def test_a_run_that_another_process_trains_is_left_to_it(run, trained, capsys):
    run.write_status("running", step=2, seconds=1.0)
    with run.lock():
        assert do(run) is None
    assert trained == []
    assert run.state == "running"
    assert "another process" in capsys.readouterr().err


def test_an_interruption_stops_the_sweep_and_is_in_its_row(run, trained, monkeypatch):
    def stop(plan, run):
        run.write_status("interrupted", step=2, seconds=1.0, error="SIGINT")
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        do(run)
    assert Sweep(run.path.parent).rows[0]["state"] == "interrupted"
