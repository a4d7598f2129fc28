"""Weights & Biases, where the extra is installed: what it has written offline, read back."""

import json
import signal
import struct

import pytest

from ctxenc import launch
from ctxenc.errors import Interrupted
from tests.tracking.test_trackers import BRIEF, fail, stop_after

wandb = pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
from wandb.proto import wandb_internal_pb2  # noqa: E402

BLOCK = 32768  # bytes, of LevelDB's log format, with which the file is written


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def parts(run):
    """The records of each process that worked on a run, by their kinds."""
    return [records(file.read_bytes()) for file in sorted(run.wandb.glob("offline-run-*/*.wandb"))]


def records(data):
    at, whole, found = 7, b"", {}
    while at + 7 <= len(data):
        if (left := BLOCK - at % BLOCK) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record.FromString(whole)
            name, whole = record.WhichOneof("record_type"), b""
            found.setdefault(name, []).append(getattr(record, name))
    return found


def items(update):
    return {"/".join(u.nested_key) or u.key: json.loads(u.value_json) for u in update}


def logged(part):
    return {h.step.num: items(h.item) for h in part["history"]}


def summary(part):
    return {k: v for s in part["summary"] for k, v in items(s.update).items()}


def test_it_is_given_the_configuration_figures_grids_the_summary_and_the_state():
    run = launch.run(*BRIEF, "tracker=wandb", "seed=3", "name=a/b")
    (part,) = parts(run)
    begun = part["run"][0]
    assert (begun.project, begun.display_name, begun.notes) == ("a-b", run.path.name, str(run.path))
    config = items(begun.config.update)
    assert config["seed"] == 3
    assert config["model.generator.widths"] == [4, 8]
    found = logged(part)
    for split, name in [("train", "generator_loss"), ("validation", "psnr_db")]:
        lines = {line["step"]: line[name] for line in run.lines(split)}
        tag = f"{split}/{name}"
        assert {at: v[tag] for at, v in found.items() if tag in v} == pytest.approx(lines)
    grids = {at: values["samples/path"] for at, values in found.items() if "samples/path" in values}
    assert grids.keys() == {3, 5}
    for at, path in grids.items():
        (written,) = run.wandb.glob(f"offline-run-*/files/{path}")
        assert written.read_bytes() == run.sample(at).read_bytes()
    last = summary(part)
    assert last["state"] == "finished"
    assert last["best/psnr_db"] == pytest.approx(run.summary["best"]["psnr_db"])
    assert part["exit"][0].exit_code == 0


@pytest.mark.parametrize(
    ("action", "error", "state", "code"),
    [
        (fail, RuntimeError, "failed", 1),
        (lambda: signal.raise_signal(signal.SIGTERM), Interrupted, "interrupted", 255),
    ],
)
def test_a_run_that_ended_early_says_so_and_goes_on_under_the_same_id(
    monkeypatch, tmp_path, action, error, state, code
):
    with monkeypatch.context() as stopped:
        stop_after(stopped, 3, action)
        with pytest.raises(error):
            launch.run(*BRIEF, "tracker=wandb")
    (folder,) = (tmp_path / "experiments" / "context_encoder").iterdir()
    run = launch.run(f"resume={folder}", "max_steps=6")
    first, second = parts(run)
    assert (summary(first)["state"], first["exit"][0].exit_code) == (state, code)
    assert (summary(second)["state"], second["exit"][0].exit_code) == ("finished", 0)
    assert first["run"][0].run_id == second["run"][0].run_id
    assert {*logged(first), *logged(second)} >= {*range(1, 7)}


def test_nothing_is_written_through_a_link_in_the_run_folder(tmp_path):
    run = launch.run(*BRIEF)
    (tmp_path / "away").mkdir()
    run.wandb.symlink_to(tmp_path / "away")
    launch.run(f"resume={run.path}", "max_steps=6", "tracker=wandb")
    assert run.status["state"] == "finished"
    assert not any((tmp_path / "away").iterdir())
    assert run.log_file.read_text().count("WandB lacks something of this run: UserError") == 1


def test_a_mode_that_it_does_not_have_is_refused_at_once():
    with pytest.raises(launch.UserError, match=r"tracker\.mode=on: expected offline or online"):
        launch.run(*BRIEF, "tracker=wandb", "tracker.mode=on")
