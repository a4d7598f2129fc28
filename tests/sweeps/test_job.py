"""One job at a time, without training: `train` is a stand-in."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from omegaconf import OmegaConf

from ctxenc.errors import UserError
from ctxenc.run_folder.folder import LockedError, Run
from ctxenc.sweeps import job as jobs
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import figures, rows


@pytest.fixture
def trained(monkeypatch):
    """What is trained, and how: the stand-in finishes every job at 15 dB."""
    calls = []

    def train(experiment, run):
        calls.append("begun")
        finish(run)

    def finish(run):
        row = rows(run.path.parent)[run.path.name]
        assert (row["state"], row["error"]) == ("running", "still training")
        with run.lock():  # as training does
            run.write_summary({"step": 3, "last": figures(15.0), "best": figures(15.0)})
            run.write_dataset({"mask_hash": "m", "validation_fingerprint": "t"})
            run.write_status("finished", step=3, seconds=1.0)

    def resume(path):
        calls.append("resumed")
        finish(Run(path))

    monkeypatch.setattr(jobs, "train", train)
    monkeypatch.setattr(jobs.launch, "prepare", lambda composed: None)
    monkeypatch.setattr(jobs.launch, "resume", resume)
    return calls


@pytest.fixture
def run(tmp_path):
    Sweep(tmp_path).update(command=["seed=1,2"], planned=2)
    (tmp_path / "0-seed=1").mkdir()
    return Run(tmp_path / "0-seed=1")


TARGETS = {
    "basic": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "optuna": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
}


def do(run, sweeper="basic", monitor="psnr_db"):
    hydra = {
        "runtime": {"output_dir": str(run.path)},
        "sweep": {"dir": str(run.path.parent)},
        "overrides": {"task": ["seed=1"]},
        "job": {"config_name": "rates"},
        "sweeper": {"_target_": TARGETS[sweeper]},
        "launcher": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
    }
    composed = {"seed": 1, "monitor": monitor, "save_dir": "checkpoints", "dataset": {}}
    return jobs.job(OmegaConf.create(composed), OmegaConf.create(hydra))


def test_a_new_job_is_begun_and_gives_the_monitored_metric(run, trained):
    assert do(run) == 15.0
    assert do(run, monitor="l1_percent") == figures(15.0)["l1_percent"]
    assert do(run, monitor="sharpness") == figures(15.0)["sharpness"] - 1  # how far from the best
    assert do(run, monitor="of_a_newer_version") is None
    assert trained == ["begun"]  # once: a finished job is left alone
    assert list(run.config.keys()) == ["seed", "monitor", "save_dir", "dataset"]
    row = rows(run.path.parent)[run.path.name]
    assert (row["state"], row["overrides"]) == ("finished", ["seed=1"])
    assert run.config_name == "rates"


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_an_unfinished_job_goes_on_from_its_checkpoint_or_begins_anew_without_one(
    run, trained, state, monkeypatch
):
    run.write_config(OmegaConf.create({"save_dir": "checkpoints"}))
    run.write_status(state, step=2, seconds=1.0, error="x")
    Sweep(run.path.parent).update(run)
    run.append_metrics({"split": "train", "step": 2})
    monkeypatch.setattr(jobs.launch, "saved_steps", lambda folder: [2])
    assert do(run) == 15.0
    assert trained == ["resumed"]
    assert len(run.lines()) == 1
    run.write_status(state, step=2, seconds=1.0, error="x")
    monkeypatch.setattr(jobs.launch, "saved_steps", lambda folder: [])
    assert do(run) == 15.0
    assert trained == ["resumed", "begun"]
    assert run.lines() == []


@pytest.mark.parametrize(
    "content", ["", "{", "{}", "[1]", '{"state": 1, "step": "x", "seconds": null}']
)
@pytest.mark.parametrize(("saved", "does"), [([2], "resumed"), ([], "begun")])
def test_a_job_whose_status_cannot_be_read_is_resumed(
    run, trained, content, saved, does, monkeypatch
):
    run.write_config(OmegaConf.create({"save_dir": "checkpoints"}))
    (run.path / "status.json").write_text(content)
    monkeypatch.setattr(jobs.launch, "saved_steps", lambda folder: saved)
    assert do(run) == 15.0
    assert trained == [does]


def test_what_failed_in_a_search_stays_failed(run, trained):
    run.write_status("failed", step=2, seconds=1.0, error="x")
    assert do(run, sweeper="optuna") is None
    assert trained == []


def test_a_failure_before_training_is_in_the_jobs_own_log(run, trained, monkeypatch, capsys):
    def refuse(composed):
        raise UserError("dataset.path=/gone: no such folder")

    monkeypatch.setattr(jobs.launch, "prepare", refuse)
    assert do(run) is None
    assert run.status["error"] == "UserError: dataset.path=/gone: no such folder"
    assert "Traceback" in run.log_file.read_text()
    assert "0-seed=1: failed (UserError: dataset.path=/gone" in capsys.readouterr().err
    assert rows(run.path.parent)[run.path.name]["state"] == "failed"


def take(run):
    with run.lock():
        pass


def elsewhere(action, *arguments):
    """What another thread gets, to whom a lock is as another process's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(action, *arguments).result()


def test_a_run_that_another_process_trains_is_left_to_it(run, trained, capsys):
    run.write_status("running", step=2, seconds=1.0)
    with run.lock():
        assert elsewhere(do, run) is None
    assert trained == []
    assert run.state == "running"
    assert "another process" in capsys.readouterr().err


def test_no_other_process_takes_a_job_between_its_first_file_and_its_training(
    run, trained, monkeypatch
):
    def prepare(composed):
        with pytest.raises(LockedError):
            elsewhere(take, run)

    monkeypatch.setattr(jobs.launch, "prepare", prepare)
    assert do(run) == 15.0
    elsewhere(take, run)  # free again


@pytest.mark.parametrize("name", ["write_config", "write_status"])
def test_a_full_disk_is_named_and_not_a_missing_file(run, trained, name, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, name, full)
    if name == "write_config":
        assert do(run) is None
        assert run.status["error"] == "OSError: [Errno 28] No space left on device"
    else:
        with pytest.raises(OSError, match="No space left"):
            do(run)
    assert trained == []


def test_an_interruption_stops_the_sweep_and_is_in_its_row(run, trained, monkeypatch):
    def stop(experiment, run):
        run.write_status("interrupted", step=2, seconds=1.0, error="SIGINT")
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        do(run)
    assert rows(run.path.parent)[run.path.name]["state"] == "interrupted"


def test_an_interruption_before_training_is_in_the_status(run, trained, monkeypatch):
    def stop(composed):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs.launch, "prepare", stop)
    with pytest.raises(KeyboardInterrupt):
        do(run)
    assert (run.status["state"], run.status["error"]) == ("interrupted", "SIGINT")
