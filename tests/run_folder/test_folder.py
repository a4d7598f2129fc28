import contextlib
import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ctxenc.errors import UserError
from ctxenc.run_folder import files
from ctxenc.run_folder.folder import Run


def test_a_torn_last_line_of_the_metrics_is_skipped(tmp_path):
    run = Run(tmp_path)
    run.append_metrics({"split": "train", "step": 1})
    run.append_metrics({"split": "validation", "step": 2})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"split": "train", "st')
    assert [line["step"] for line in run.lines()] == [1, 2]
    assert [line["step"] for line in run.lines("validation")] == [2]


def test_validations_of_format_1_were_on_the_test_split(tmp_path):
    run = Run(tmp_path)
    run.append_metrics({"split": "train", "step": 1})
    run.append_metrics({"split": "test", "step": 3})
    assert [line["step"] for line in run.lines("validation")] == [3]


@given(text=st.binary(max_size=200))
def test_no_content_of_a_run_folder_is_more_than_a_user_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("run")
    (folder / ".hydra").mkdir()
    for name in ("status.json", "summary.json", "metrics.jsonl", ".hydra/config.yaml"):
        (folder / name).write_bytes(text)
    run = Run(folder)
    assert isinstance(run.lines(), list)
    for read in (lambda: run.status, lambda: run.summary, lambda: run.config):
        with contextlib.suppress(UserError):
            read()


def test_a_folder_that_is_not_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        _ = Run(tmp_path).config
    with pytest.raises(UserError, match=r"status\.json: no such file"):
        _ = Run(tmp_path).status
    assert Run(tmp_path).state is None
    assert Run(tmp_path).lines() == []


def test_a_resumed_run_forgets_what_it_will_write_again(tmp_path):
    run = Run(tmp_path)
    for step in (5, 10, 15):
        run.append_metrics({"split": "train", "step": step})
    run.keep_metrics(lambda line: line["step"] <= 10)
    assert [line["step"] for line in run.lines()] == [5, 10]


def test_a_whole_file_or_none_of_it(tmp_path, monkeypatch):
    file = tmp_path / "status.json"
    files.write_text(file, "before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(file, "after")
    assert file.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_who_may_read_a_whole_file_is_said_by_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / ("x" * 250), "text")  # of nearly the longest name there can be
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_the_configuration_is_read_back_as_written(tmp_path):
    run = Run(tmp_path)
    run.write_config(OmegaConf.create({"samples_dir": "s", "save_dir": "/far"}), ["a=1"])
    assert run.samples == tmp_path / "s"
    assert str(run.checkpoints) == "/far"
    assert OmegaConf.load(tmp_path / ".hydra" / "overrides.yaml") == ["a=1"]


def test_the_environment_names_versions_devices_and_flags(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_max_hlo_modules=1")
    Run(tmp_path).write_environment()
    found = json.loads((tmp_path / "env.json").read_text())
    assert found["packages"]["jax"]
    assert found["devices"][0].startswith("cpu")
    assert found["xla_flags"] == "--xla_dump_max_hlo_modules=1"


@pytest.mark.parametrize("text", ["5: 6", "loss: {5: 6}", "seed: [{true: 1}]"])
def test_keys_that_are_no_text_are_named(tmp_path, text):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"(5|True): expected text for a key"):
        _ = Run(tmp_path).config


def test_the_metrics_are_a_table_of_numbers_by_step(tmp_path):
    run = Run(tmp_path)
    assert run.metrics().empty
    run.append_metrics({"split": "train", "step": 1, "epoch": 0.5, "generator_loss": 2.0})
    run.append_metrics({"split": "validation", "step": 2, "epoch": 1, "psnr_db": 10.0})
    run.append_metrics({"split": "validation", "step": 4, "epoch": 2, "psnr_db": "<b>", "x": [1]})
    table = run.metrics()
    assert table.index.tolist() == [1, 2, 4]
    assert list(table) == ["split", "epoch", "generator_loss", "psnr_db"]
    assert table["psnr_db"].dtype == float
    assert run.metrics("validation")["psnr_db"].fillna(0).to_dict() == {2: 10.0, 4: 0.0}
    assert list(run.metrics("train")) == ["split", "epoch", "generator_loss"]


def test_metrics_of_another_split_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="split=test: expected train or validation"):
        Run.metrics.__wrapped__(Run(tmp_path), "test")  # without the check of annotations
