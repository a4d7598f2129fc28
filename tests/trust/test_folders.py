"""Run folders that somebody else made: whatever is in them, one line says so, and soon."""

import json
import logging
import os
import subprocess
import sys
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ctxenc.cli import one_line_errors
from ctxenc.comparison import comparison_table, page, paired, records, sections
from ctxenc.comparison.formats import FORMATS, render
from ctxenc.config import references
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.errors import UserError, printable
from ctxenc.evaluation.folder import Evaluation
from ctxenc.run_folder.files import append_line, overwrite_text
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.session import log_to
from tests.fake_runs import damage, fake_evaluation, fake_run

LAUGHS = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
UNFOLDING = [*(f"a{i}: ${{a{i + 1}}}${{a{i + 1}}}" for i in range(60)), "a60: x"]
HOSTILE_YAML = {
    "aliases that unfold": "\n".join(LAUGHS),
    "a mapping within itself": "&a {x: *a}",
    "merged keys": "a: &a {x: 1}\nb: {<<: *a}",
    "nested sequences": "[" * 100_000,
    "nested mappings": "{a: " * 20_000,
    "nested blocks": "- " * 50_000,
    "references that unfold": "\n".join(UNFOLDING),
    "references to mappings that unfold": "\n".join(
        [*(f"a{i}: {{x: '${{a{i + 1}}}', y: '${{a{i + 1}}}'}}" for i in range(60)), "a60: x"]
    ),
    "references in a row": "\n".join([*(f"a{i}: ${{a{i + 1}}}" for i in range(9000)), "a9000: 1"]),
    "a reference to itself": "a: ${b}\nb: ${a}",
    "the environment": "name: ${oc.env:HOME}",
    "the environment, within": "a: {b: ['x${oc.env:HOME}y']}",
    "a reference made of others": "a: b\nname: ${${a}}",
    "time": "name: ${now:%Y}",
    "another resolver": "name: ${folder_name:1,x}",
    "text as configuration": "a: ${oc.create:x}",
    "too large": "a: 1\n" * 100_000,
    "a number of many digits": f"a: [{'9' * 5000}]\n- b",
    "control characters": "a: \x1b[2J",
    "no text": "\x00",
}


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_a_hostile_configuration_is_one_line_and_soon(tmp_path, text):
    damage(fake_run(tmp_path / "run"), ".hydra/config.yaml", text)
    with pytest.raises(UserError) as refused:
        _ = Run(tmp_path / "run").config
    assert len(str(refused.value)) < 300 + len(str(tmp_path))
    assert records.read(tmp_path / "run", "run").label == "run"


def test_a_process_reads_yaml_that_libyaml_dies_of(tmp_path):
    damage(fake_run(tmp_path / "run"), ".hydra/config.yaml", "[" * 100_000)
    code = "import sys; from ctxenc.comparison.records import read; from pathlib import Path; "
    code += "print(read(Path(sys.argv[1]), 'run').problem)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True
    )
    assert (done.returncode, "config.yaml" in done.stdout) == (0, True)


def test_references_to_keys_are_kept_and_functions_are_settled(monkeypatch):
    monkeypatch.setenv("SECRET", "told")
    composed = compose(["name=${oc.env:SECRET}", "model.generator.widths=[4,'${batch_size}']"])
    saved = OmegaConf.to_container(composed)
    assert saved["name"] == "told"
    assert saved["mask"]["mask_height"] == "${mask_height}"
    references.check(saved)
    assert check(composed).model["generator"]["widths"] == [4, composed.batch_size]
    with pytest.raises(UserError):
        check(compose(["name=${oc.env:NOT_THERE}"]))


SMALL = (
    "status.json",
    "summary.json",
    "dataset.json",
    "metrics.jsonl",
    "evaluation/test/metrics.json",
)
HYDRAS = tuple(f".hydra/{name}.yaml" for name in ("config", "overrides", "hydra"))
PLACES = (*SMALL, "evaluation/test/per_image.csv", *HYDRAS)


def _whole(folder):
    """Two runs, one to damage."""
    for name in ("a", "b"):
        fake_evaluation(run := fake_run(folder / name), [15.0, 16.0])
        run.write_config(run.config, None, "rates")
    return Run(folder / "a")


def _shown(folder):
    """All that a comparison makes of a folder."""
    compared = sections.compare(records.load([str(folder)]))
    pairs, _ = paired.tables(compared)
    tables = comparison_table.tables(compared, pairs, everything=True)
    with mock.patch("plotly.offline.get_plotlyjs", return_value=""):  # 4 MB, of its own making
        return [*(render(tables, form) for form in FORMATS), page.html(compared, tables, folder)]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to nothing", "link to itself"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    run = _whole(tmp_path)
    for place in PLACES:
        file = run.path / place
        file.unlink()
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        else:
            targets = {"device": "/dev/zero", "link to nothing": "nowhere"}
            file.symlink_to(targets.get(kind, file.name))
    record = records.read(run.path, "a")
    assert record.state == ("unknown" if "link" in kind else "damaged")  # such a link is no file
    assert not record.ranked
    assert not records.read(tmp_path / "b", "b").problem
    for read in (lambda: run.config, lambda: run.status, lambda: Evaluation(run.path).metrics):
        with pytest.raises(UserError):
            read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(["step", "state", "last", "best", "psnr_db", "split", "jobs"])
            | st.text(max_size=4),
            inside,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def _fuzz_comparison(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("fuzz")
    run = _whole(folder)
    for place, value in content.items():
        text = value if isinstance(value, str | bytes) else json.dumps(value)
        damage(run, place, text.encode("utf-8", "replace") if isinstance(text, str) else text)
    for shown in _shown(folder):
        assert "\x1b" not in shown
        shown.encode()


CONTENT = st.dictionaries(
    st.sampled_from(PLACES), JSON | st.text(max_size=20) | st.binary(max_size=20), max_size=3
)


@settings(max_examples=15)
@given(content=CONTENT)
def test_no_content_stops_a_comparison(tmp_path_factory, content):
    _fuzz_comparison(tmp_path_factory, content)


@pytest.mark.slow
@settings(max_examples=400)
@given(content=CONTENT)
def test_no_content_stops_a_comparison_at_length(tmp_path_factory, content):
    _fuzz_comparison(tmp_path_factory, content)


def test_names_and_errors_cannot_steer_the_terminal(tmp_path, capsys):
    run = fake_run(tmp_path / "a\x1b[2Jb\nc\u202e", state="failed", error="\x1b]0;x\x07 <b>\r")
    damage(run, "summary.json", {"last": {"psnr_db": "\x1b[31m"}})
    for text in _shown(tmp_path):
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)
    with pytest.raises(SystemExit), one_line_errors("ctxenc.compare"):
        raise UserError(f"{run.path}: \x1b[2J\nsecond")
    told = capsys.readouterr().err
    assert printable(told.rstrip("\n")) == told.rstrip("\n")


def test_a_log_line_is_one_plain_line(tmp_path, capsys):
    with log_to(tmp_path / "train.log", logging.StreamHandler(sys.stdout)):
        logging.getLogger("ctxenc").warning("%s: skipped", "a\x1b[2J\n$(forged)")
    told = capsys.readouterr().out
    written = (tmp_path / "train.log").read_text()
    for text in (told, written):
        assert text.count("\n") == 1
        assert "\x1b" not in text


def test_nothing_is_written_through_a_link(tmp_path):
    mine, run = tmp_path / "mine", fake_run(tmp_path / "run")
    mine.write_text("kept")
    for name in ("metrics.jsonl", "train.log", ".lock", "status.json", "summary.json"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).symlink_to(mine)
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        run.append_metrics({"step": 1})
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        append_line(run.path / "metrics.jsonl", "x")
    with pytest.raises(OSError, match=r"status\.json"):
        overwrite_text(run.path / "status.json", "x")
    with pytest.raises(UserError, match="link"), log_to(run.log_file, logging.NullHandler()):
        pass
    with pytest.raises(OSError), run.lock():  # noqa: PT011
        pass
    run.write_status("failed", step=0, seconds=0.0)  # whole files take the link's own place
    assert (mine.read_text(), run.state) == ("kept", "failed")
