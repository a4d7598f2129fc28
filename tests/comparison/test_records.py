import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxenc.comparison import records, sections
from ctxenc.comparison.records import load, read
from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run
from tests.fake_runs import damage, fake_run


def labels(*folders):
    return [record.label for record in load(folders)]


def test_runs_and_sweeps_are_found_at_any_depth_in_natural_order(tmp_path):
    for name in ("sweep/10-seed=10", "sweep/2-seed=2", "single", "a/b/c"):
        fake_run(tmp_path / name)
    (tmp_path / "single" / "evaluation").mkdir()
    fake_run(tmp_path / "single" / "evaluation" / "inside")  # of a run: not a run of its own
    fake_run(tmp_path / ".hidden" / "run")
    found = labels(tmp_path, tmp_path / "sweep")
    assert found == ["a/b/c", "single", "sweep/2-seed=2", "sweep/10-seed=10"]
    assert labels(tmp_path / "single") == ["single"]


def test_links_in_a_circle_end_and_name_a_run_once(tmp_path):
    run = fake_run(tmp_path / "real" / "run")
    (tmp_path / "real" / "circle").symlink_to(tmp_path)
    (tmp_path / "a_link").symlink_to(run.path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    fake_run(elsewhere / "other")
    (tmp_path / "linked").symlink_to(elsewhere)
    assert labels(tmp_path) == ["linked/other", "real/run"]


def test_many_runs_are_read_by_several_processes_as_by_one(tmp_path, monkeypatch):
    for number in range(5):
        fake_run(tmp_path / str(number), 17.0 + number)
    damage(Run(tmp_path / "2"), "summary.json", {"last": 3})
    alone = load([tmp_path])
    monkeypatch.setattr(records, "MANY", 5)
    monkeypatch.setattr(records, "CHUNK", 2)
    together = load([tmp_path], workers=2)
    told = [(r.run.path, r.label, r.state, r.problem, r.values, r.settings) for r in together]
    assert told == [(r.run.path, r.label, r.state, r.problem, r.values, r.settings) for r in alone]


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_no_run_is_a_user_error(tmp_path, name):
    (tmp_path / "empty" / ".hydra").mkdir(parents=True)
    with pytest.raises(UserError, match=name):
        load([tmp_path / name])


def test_a_whole_run_is_read(tmp_path):
    record = read(fake_run(tmp_path, 17.0, overrides=["seed=0"]).path, "one")
    assert (record.state, record.problem, record.step) == ("finished", None, 100)
    assert (record.last["psnr_db"], record.best["psnr_db"]) == (17.0, 17.5)
    assert record.tested_on == ("validation", "masks", "images")
    assert record.overrides == ("seed=0",)
    assert record.ranked


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("summary.json", {"last": 3}, "summary.json: last=3: expected a mapping"),
        ("summary.json", '{"last": {"psnr_db": ', "summary.json: not readable"),
        ("summary.json", "[]", "summary.json: "),
        ("summary.json", {"baselines": {"mean_colour": 3}}, "baselines: mean_colour=3"),
        ("status.json", b"\xff\x00\xfe", "status.json: not readable"),
        ("status.json", {"state": 1}, "state=1: expected text"),
        ("status.json", {"state": "finished", "step": "9", "seconds": 1}, "step='9'"),
        ("status.json", {"state": "finished", "step": 10**300, "seconds": 1}, "step=1000"),
        ("dataset.json", {"mask_hash": 3}, "mask_hash=3: expected text"),
        (".hydra/config.yaml", "- a\n- b\n", "config.yaml: expected a mapping"),
        (".hydra/config.yaml", b"\x80\x81", "config.yaml: not readable"),
        (".hydra/overrides.yaml", "{a: 1}", "overrides.yaml: expected a list"),
    ],
)
def test_a_damaged_run_says_what_is_wrong_and_is_not_ranked(tmp_path, file, content, reason):
    run = fake_run(tmp_path)
    damage(run, file, content)
    record = read(run.path, "one")
    assert record.state == "damaged"
    assert reason in record.problem
    assert str(tmp_path) not in record.problem
    assert "\n" not in record.problem
    assert not record.ranked


@pytest.mark.parametrize(
    ("file", "content", "state", "ranked", "reason"),
    [
        ("summary.json", None, "finished", False, "summary.json: missing"),
        ("summary.json", {"last": {}, "best": {}}, "finished", False, "no figures"),
        ("status.json", None, "unknown", True, "status.json: missing"),
        ("status.json", {}, "unknown", True, "status.json: no state"),
        ("status.json", {"state": "paused"}, "paused", True, "paused at step 0"),
        ("status.json", {"state": "finished", "format": 99}, "finished", True, "a newer ctxenc"),
        ("dataset.json", None, "finished", False, "dataset.json: missing"),
        ("dataset.json", {"name": "photos"}, "finished", False, "dataset.json: no mask_hash"),
        (".hydra/config.yaml", None, "finished", True, "config.yaml: missing"),
        (".hydra/overrides.yaml", None, "finished", True, None),
    ],
)
def test_what_is_missing_is_a_blank_and_a_note(tmp_path, file, content, state, ranked, reason):
    run = fake_run(tmp_path)
    damage(run, file, content)
    record = read(run.path, "one")
    assert (record.state, record.ranked) == (state, ranked)
    assert record.problem is None if reason is None else reason in record.problem


def test_figures_that_are_not_numbers_are_damage(tmp_path):
    run = fake_run(tmp_path)
    for value in (math.nan, math.inf, "17", True, [17]):
        damage(run, "summary.json", {"last": {"step": 100, "psnr_db": value}})
        assert "last: psnr_db=" in read(run.path, "one").problem


def test_runs_that_did_not_finish_say_why(tmp_path):
    failed = read(fake_run(tmp_path / "a", state="failed", error="Diverged:\n x").path, "a")
    assert (failed.state, failed.problem, failed.ranked) == ("failed", "Diverged: x", True)
    stopped = fake_run(tmp_path / "b", state="interrupted")
    damage(stopped, "summary.json", None)
    record = read(stopped.path, "b")
    assert (record.state, record.problem, record.ranked) == (
        "interrupted",
        "interrupted at step 100",
        False,
    )
    running = fake_run(tmp_path / "c", state="running")
    with running.lock():
        record = read(running.path, "c")
        assert (record.state, record.problem) == ("running", "still training")
    record = read(running.path, "c")  # the lock is gone, as it is with a process that was killed
    assert (record.state, record.problem) == (
        "killed",
        "no process here trains it any more; resume=… goes on",
    )


FILES = ("status.json", "summary.json", "dataset.json", "metrics.jsonl", ".hydra/config.yaml")


@settings(max_examples=60)
@given(
    file=st.sampled_from(FILES),
    content=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
            max_leaves=6,
        ).map(json.dumps),
    ),
)
def test_nothing_in_a_run_folder_stops_a_comparison(tmp_path_factory, file, content):
    folder = tmp_path_factory.mktemp("runs")
    fake_run(folder / "whole")
    damage(fake_run(folder / "other"), file, content)
    records = load([folder])
    found = sections.compare(records)
    assert sorted(r.label for r in (*found.ranked, *found.unranked)) == ["other", "whole"]
