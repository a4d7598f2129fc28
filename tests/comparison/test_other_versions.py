"""Run folders of older and newer versions: what they lack is blank, what is new is shown."""

import csv
import io
import json

import pytest

from ctxenc.comparison import comparison_table, page, paired, sections
from ctxenc.comparison.formats import FORMATS, render
from ctxenc.comparison.records import load, read
from ctxenc.comparison.settings import Settings, differing
from ctxenc.metrics import registry
from ctxenc.metrics.registry import METRICS, Metric
from tests.fake_runs import CONFIG, damage, fake_evaluation, fake_run


@pytest.fixture
def folder(tmp_path):
    """A run of a newer version, one of this, and one of a version before SSIM."""
    newer = fake_run(tmp_path / "newer", 17.0, attention="axial")
    change = {"dreamsim": 0.125, "histogram": [1, 2]}
    damage(newer, "summary.json", {**newer.summary, "last": {**newer.summary["last"], **change}})
    newer.append_metrics({"split": "train", "step": 125, "perceptual_loss": 0.25, "note": "new"})
    newer.append_metrics({"split": "validation", "step": 125, "dreamsim": 0.125})
    damage(newer, "attention.json", {"heads": 4})
    fake_evaluation(newer, [16.0, 18.0], depth=[1.0, 2.0])
    fake_evaluation(fake_run(tmp_path / "this", 16.0), [15.0, 17.0])
    older = fake_run(tmp_path / "older", 15.0)
    last = {k: v for k, v in older.summary["last"].items() if k != "ssim"}
    damage(older, "summary.json", {"last": last})
    fake_evaluation(older, [14.0, 16.0], ssim=None)
    return tmp_path


def compared(folder, **options):
    found = sections.compare(load([folder]), **options)
    pairs, left_out = paired.tables(found)
    assert left_out == []
    return found, comparison_table.tables(found, pairs)


def test_all_are_ranked_and_nothing_is_damaged(folder):
    found, tables = compared(folder)
    assert [run.label for run in found.ranked] == ["newer", "this", "older"]
    assert [table.key for table in tables] == ["section-0", "paired-0"]
    newer, this, older = json.loads(render(tables, "json"))["tables"][0]["rows"]
    assert [run["validation.last.dreamsim"] for run in (newer, this)] == [0.125, None]
    assert older["validation.last.ssim"] is None
    assert (newer["attention"], this["attention"]) == ("axial", None)
    assert older["validation.best.psnr_db"] is None
    pairs = {row["run"]: row for row in tables[1].values()}
    assert pairs["this"]["test.difference.ssim"] is not None
    assert pairs["older"]["test.difference.ssim"] is None


@pytest.mark.parametrize("form", FORMATS)
def test_a_metric_of_a_newer_version_is_in_every_format_under_its_own_name(folder, form):
    shown = render(compared(folder)[1], form)
    assert "dreamsim" in shown
    assert "0.125" in shown
    assert "attention" in shown
    for row in csv.DictReader(io.StringIO(shown)) if form == "csv" else ():
        assert row["run"] != "older" or row["validation.last.ssim"] == ""


def test_the_page_has_curves_of_whatever_is_in_the_lines(folder):
    html = page.html(*compared(folder), folder)
    assert '<option value="perceptual_loss">perceptual loss</option>' in html
    assert '<option value="generator_loss">generator loss</option>' in html
    assert '<option value="dreamsim">validation dreamsim</option>' in html
    assert '<option value="psnr_db">validation PSNR dB</option>' in html
    assert "note" not in html[html.index('id="data"') : html.index("</script>")]


def test_runs_can_be_sorted_and_filtered_by_what_only_one_has(folder):
    found, _ = compared(folder, sort="-dreamsim")
    assert found.ranked[0].label == "newer"
    found, _ = compared(folder, sort="ssim")
    assert [run.label for run in found.ranked] == ["newer", "this", "older"]
    found, _ = compared(folder, filters=["attention=axial"])
    assert [run.label for run in found.ranked] == ["newer"]


def test_a_key_that_an_older_run_lacks_has_the_value_that_stood_for_it():
    older = Settings.of({k: v for k, v in CONFIG.items() if k != "lambda_adv"})
    assert older.values["lambda_adv"] == "0.001"
    assert older.values["ema_decay"] == "null"
    assert differing([older, Settings.of({**CONFIG, "ema_decay": None})]) == []
    assert differing([older, Settings.of({**CONFIG, "lambda_adv": 0.01})]) == ["lambda_adv"]


def test_a_new_metric_is_one_entry_in_the_registry(folder, monkeypatch):
    new = Metric("DreamSim", "", 1, "lower", {"depth": lambda *_: None}, when="training")
    monkeypatch.setitem(METRICS, "dreamsim", new)
    fake_evaluation(fake_run(folder / "another", 14.0), [13.0, 15.0], depth=[2.0, 4.0])
    _, tables = compared(folder, baseline="newer")
    assert "DreamSim" in render(tables, "table")
    assert "0.1" in render(tables, "table")
    pairs = [row for table in tables for row in table.values() if row.get("baseline") == "newer"]
    differences = [d for row in pairs if (d := row["test.difference.dreamsim"]) is not None]
    assert differences == [pytest.approx(1.5)]
    assert next(iter(registry.METRICS)) == registry.MAIN


def test_a_run_without_its_configuration_does_not_make_every_key_differ(tmp_path):
    for name in ("a", "b", "c"):
        fake_run(tmp_path / name, mask_height=ord(name))
    damage(read(tmp_path / "c", "c").run, ".hydra/config.yaml", None)
    found, tables = compared(tmp_path)
    assert [column.key for column in tables[0].columns if column.setting] == ["mask_height"]
    assert tables[-1].rows[0]["problem"].text == ".hydra/config.yaml: missing"
    assert len(found.ranked) == 3


def test_a_key_named_like_a_metric_is_not_taken_for_its_figure(tmp_path):
    fake_run(tmp_path / "a", 15.0, psnr_db="high")
    lacking = fake_run(tmp_path / "b", 16.0, psnr_db="low")
    damage(lacking, "summary.json", {"last": {"ssim": 0.5}})
    found, tables = compared(tmp_path, sort="psnr_db")
    assert [run.label for run in found.ranked] == ["a", "b"]
    assert [row["validation.last.psnr_db"] for row in tables[0].values()] == [15.0, None]
    _, tables = compared(tmp_path, group_by=["seed"])
    assert "0.500" in render(tables, "table")
