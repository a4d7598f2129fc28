"""Pipes and links in somebody else's folder, where a library reads or a program writes."""

import logging
import os
import shutil

import pytest

from ctxenc import launch
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.run_folder.checkpoints import Checkpoints, best_step, restore
from ctxenc.run_folder.files import append_line, check_regular
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.session import log_to
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import fake_run
from tests.programs import started
from tests.small_state import small_state
from tests.tiny import TINY


def test_a_pipe_in_place_of_any_file_of_a_checkpoint_is_not_waited_for(tmp_path):
    with Checkpoints(tmp_path) as opened:
        opened.save(3, small_state(), figures={"psnr_db": 1.0})
    every = [file for file in (tmp_path / "3").rglob("*") if file.is_file()]
    assert {"metrics", "_METADATA", "manifest.ocdbt"} <= {file.name for file in every}
    for file in every:
        file.rename(kept := tmp_path / "kept")
        os.mkfifo(file)
        for read in (
            lambda: best_step(tmp_path),
            lambda: restore(tmp_path, small_state()),
            lambda: Checkpoints(tmp_path),
        ):
            with pytest.raises(UserError, match="expected a regular file"):
                read()
        file.unlink()
        kept.rename(file)
    assert best_step(tmp_path) == 3


@pytest.mark.parametrize("target", ["/dev/zero", "/dev", "."])
def test_a_device_or_a_linked_folder_is_no_part_of_a_folder(tmp_path, target):
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "d" / "nowhere").symlink_to("removed")
    check_regular(tmp_path)
    (tmp_path / "in" / "d" / "x").symlink_to(target)
    with pytest.raises(UserError, match=r"in/d/x: expected a regular file or a folder"):
        check_regular(tmp_path)


def test_a_log_and_lines_that_are_pipes_are_not_waited_for(tmp_path):
    for name in ("train.log", "metrics.jsonl"):
        os.mkfifo(tmp_path / name)
    with (
        pytest.raises(UserError, match="no file"),
        log_to(tmp_path / "train.log", logging.NullHandler()),
    ):
        pass
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        append_line(tmp_path / "metrics.jsonl", "x")


def test_no_folder_of_a_run_is_written_through_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = launch.run(*TINY, "max_steps=1", "eval_every=1")
    writers = {
        **dict.fromkeys(
            ("checkpoints", "samples", "tensorboard"),
            lambda: launch.run(f"resume={run.path}", "max_steps=2"),
        ),
        "evaluation": lambda: Evaluation.of(run, "test"),
        ".hydra": lambda: run.write_config(launch.compose([])),
    }
    for name, write in writers.items():
        away, inside = tmp_path / "away" / name, run.path / name
        inside.mkdir(exist_ok=True)
        shutil.move(inside, away)
        listed = sorted(away.rglob("*"))
        inside.symlink_to(away)
        with pytest.raises(UserError, match=rf"{name}(/test)?: a link out of"):
            write()
        assert sorted(away.rglob("*")) == listed
        inside.unlink()
        shutil.move(away, inside)
    (run.path / "elsewhere").mkdir()
    (run.path / "samples").rename(run.path / "elsewhere" / "samples")
    (run.path / "samples").symlink_to("elsewhere/samples")  # of its own
    launch.run(f"resume={run.path}", "max_steps=2")
    assert run.sample(2).exists()


@pytest.mark.parametrize("linked", ["0-a", "0-a/.hydra"])
def test_no_job_of_a_sweep_is_written_through_a_link(tmp_path, linked):
    sweep = Sweep(tmp_path / "sweep")
    fake_run(sweep.path / "0-a")
    shutil.move(sweep.path / linked, tmp_path / "away")
    (sweep.path / linked).symlink_to(tmp_path / "away")
    with pytest.raises(UserError, match="a link out of"):
        sweep.update(command=["seed=0"])
    with pytest.raises(UserError, match="a link out of"):
        sweep.update(Run(sweep.path / "0-a"))


def test_a_configuration_that_links_to_itself_is_said_to_be_so_and_is_no_sweep(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").symlink_to("config.yaml")
    for name, given in (("train", f"resume={tmp_path}"), ("evaluate", tmp_path)):
        told = started(name, given).stderr
        assert told.endswith("config.yaml: Too many levels of symbolic links\n"), told
