"""What trackers are told of whole runs, and what their failures cost."""

import json
import os
import signal
import sys

import pytest

from ctxenc import experiment, launch, step
from ctxenc.comparison.settings import Settings, differing
from ctxenc.config.compose import compose
from ctxenc.errors import Interrupted, UserError
from ctxenc.run_folder import session
from tests.faults.ends import assert_same, without_times
from tests.tiny import TINY
from tests.tracking.recorder import told

BRIEF = [*TINY, "max_steps=5", "eval_every=2", "log_every=1", "n_update=3"]
RECORDER = "tracker._target_=tests.tracking.recorder.Recorder"
FAILING = "tracker._target_=tests.tracking.recorder.Failing"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CTXENC_PLUGINS", "tests")  # whose trackers a saved run may name
    told.clear()


def calls(method):
    return [arguments for name, arguments in told if name == method]


def stop_after(monkeypatch, when, action):
    """Do `action` once, when so many steps have been taken."""
    taken, count = step.train_step, []

    def train_step(*arguments):
        count.append(1)
        result = taken(*arguments)
        if len(count) == when:
            action()
        return result

    train_step.eval_shape = taken.eval_shape
    monkeypatch.setattr(experiment.step, "train_step", train_step)


def fail():
    raise RuntimeError("power cut")


def test_a_tracker_is_told_everything_in_the_order_of_the_run():
    run = launch.run(*BRIEF, RECORDER, "seed=3")
    (begun,) = calls("begin")
    assert begun[0] == run.path
    assert begun[1]["seed"] == 3
    assert begun[1]["model.generator.widths"] == [4, 8]
    assert not {"name", "save_dir", "tracker._target_"} & begun[1].keys()  # mere places
    assert begun[2:] == (0, None)
    lines = [(line["step"], line["split"], line) for line in run.lines()]
    shown = [
        (at, {f"{split}/{n}": v for n, v in line.items() if n not in ("step", "split", "epoch")})
        for at, split, line in lines
    ]
    assert calls("figures") == shown
    assert calls("grid") == [(at, run.sample(at).read_bytes()) for at in (3, 5)]
    ((state, summary),) = calls("end")
    assert state == "finished"
    assert summary["best/psnr_db"] == run.summary["best"]["psnr_db"]
    assert summary["baselines/harmonic/ssim"] == run.summary["baselines"]["harmonic"]["ssim"]
    assert (told[0][0], told[-1][0]) == ("begin", "end")
    assert json.loads((run.path / "trackers.json").read_text()) == {
        "tests.tracking.recorder.Recorder": "id-1"
    }


@pytest.mark.parametrize(
    ("action", "error", "state", "start"),
    [
        (fail, RuntimeError, "failed", 2),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), Interrupted, "interrupted", 3),
    ],
)
def test_a_tracker_is_told_how_a_run_ended_and_a_resumed_run_goes_on_in_it(
    monkeypatch, tmp_path, action, error, state, start
):
    with monkeypatch.context() as stopped:
        stop_after(stopped, 3, action)
        with pytest.raises(error):
            launch.run(*BRIEF, RECORDER)
    (folder,) = (tmp_path / "experiments" / "context_encoder").iterdir()
    assert [told_state for told_state, _ in calls("end")] == [state]
    assert launch.Run(folder).state == state
    told.clear()
    launch.run(f"resume={folder}")
    assert calls("begin")[0][2:] == (start, "id-1")
    assert calls("figures")[0][0] == start + 1
    assert [told_state for told_state, _ in calls("end")] == ["finished"]


def test_a_run_whose_last_checkpoint_fails_is_not_told_of_as_finished(monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(experiment.Checkpoints, "__exit__", full_disk)
    with pytest.raises(OSError, match="No space"):
        launch.run(*TINY, RECORDER, "max_steps=2")
    assert [state for state, _ in calls("end")] == ["failed"]


@pytest.fixture(scope="module")
def untracked(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("untracked"))
        return launch.run(*BRIEF)


@pytest.mark.parametrize("method", ["begin", "figures", "grid", "end"])
def test_a_tracker_that_fails_is_one_warning_and_changes_no_run(untracked, method):
    run = launch.run(*BRIEF, FAILING, f"+tracker.method={method}")
    assert_same(run, untracked)
    warnings = [line for line in run.log_file.read_text().splitlines() if " WARNING " in line]
    assert [line.partition("trackers: ")[2] for line in warnings] == [
        "Failing lacks something of this run: RuntimeError: no tracker today"
    ]
    assert calls(method)  # and is tried again: a server may be back
    assert len(calls("figures")) == (8 if method != "figures" else len(without_times(run)))


def test_of_several_processes_only_the_one_that_writes_tracks(monkeypatch):
    monkeypatch.setattr(session.processes, "is_main", lambda: False)
    launch.run(*TINY, RECORDER, "max_steps=2")
    assert told == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tracker=mlflow"], r"mlflow is not installed.*pip install 'ctxenc\[mlflow\]'"),
        (["tracker=wandb"], r"wandb is not installed.*pip install 'ctxenc\[wandb\]'"),
        (["tracker=aim"], "expected mlflow, none, wandb"),
        (["+tracker.mode=online"], "tracker.mode: no such option"),
        (["tracker._target_=tests.tracking.recorder.NoTracker"], "a subclass of ctxenc.tracking"),
        (["tracker._target_=no.such.Tracker"], "cannot be imported"),
    ],
)
def test_what_cannot_track_is_refused_before_anything_is_written(
    monkeypatch, tmp_path, overrides, message
):
    for package in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UserError, match=message) as refused:
        launch.run(*TINY, *overrides)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "experiments").exists()


def test_a_tracker_that_names_no_run_any_more_is_given_the_name_that_it_had():
    run = launch.run(*TINY, RECORDER, "max_steps=2", "eval_every=2")
    launch.run(f"resume={run.path}", "max_steps=3", RECORDER, "+tracker.known_as=null")
    launch.run(f"resume={run.path}", "max_steps=4")
    assert [known for *_, known in calls("begin")] == [None, "id-1", "id-1"]


def test_resume_may_choose_another_tracker_and_keeps_it():
    run = launch.run(*TINY, "max_steps=2", "eval_every=2")
    assert not (run.path / "trackers.json").exists()
    launch.run(f"resume={run.path}", "max_steps=3", "+tracker.known_as=id-2", RECORDER)
    assert calls("begin")[0][2:] == (2, None)
    assert run.config.tracker.known_as == "id-2"
    launch.run(f"resume={run.path}", "max_steps=4")
    assert calls("begin")[1][2:] == (3, "id-2")
    launch.run(f"resume={run.path}", "max_steps=5", "tracker=none")
    assert len(calls("begin")) == 2
    assert run.config.tracker == {"_target_": "ctxenc.tracking.Tracker"}
    for change, message in [
        ("tracker=aim", "expected mlflow, none, wandb"),
        ("tracker=null", "expected tracker=CHOICE"),
        ("~tracker", "only resume_step, distributed, n_epoch, max_steps, tracker can be changed"),
        ("tracker.nothing=1", "no such option"),
    ]:
        with pytest.raises(UserError, match=message):
            launch.run(f"resume={run.path}", change)


def test_runs_that_differ_in_their_trackers_alone_are_the_same_setting():
    runs = [
        Settings.of(launch.OmegaConf.to_container(compose([choice]), resolve=True), [choice])
        for choice in ("tracker=none", "tracker=mlflow", "tracker=wandb")
    ]
    assert [run.values["tracker"] for run in runs] == ["none", "mlflow", "wandb"]
    assert differing(runs) == []


def test_the_folder_of_a_tracker_is_found_from_anywhere(tmp_path):
    assert compose(["tracker=mlflow"]).tracker.folder == str(tmp_path / "experiments")
