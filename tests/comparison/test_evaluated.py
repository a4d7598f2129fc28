"""Figures of the test split beside those of validation: which evaluation counts, never mixed."""

import json
from pathlib import Path

import numpy as np
import pytest

from ctxenc.comparison import comparison_table, paired, sections
from ctxenc.comparison.formats import render
from ctxenc.comparison.records import load
from tests.fake_runs import damage, fake_evaluation, fake_run


def shown(folder, **options):
    """(the tables but the paired ones, the paired ones)."""
    compared = sections.compare(load([folder]), **options)
    pairs, _ = paired.tables(compared)
    return comparison_table.tables(compared), pairs


def column(table, key, by="run"):
    """A column's values by the runs' names; without those that are blank."""
    return {row[by]: row[key] for row in table.values() if row.get(key) is not None}


def notes(table):
    return " ".join(table.notes)


def test_test_figures_have_columns_of_their_own_with_an_interval(tmp_path):
    fake_evaluation(fake_run(tmp_path / "a", 15.0), [12, 14])
    fake_run(tmp_path / "b", 16.0)
    ((table,), _) = shown(tmp_path)
    assert column(table, "validation.last.psnr_db") == {"b": 16.0, "a": 15.0}
    assert column(table, "validation.change.psnr_db") == {"b": 1.0}
    assert column(table, "test.psnr_db") == {"a": 13.0}
    assert column(table, "test.psnr_db.low") == {"a": 12.0}
    assert column(table, "test.checkpoint") == {"a": "best"}
    assert table.rows[1]["test.psnr_db"].text == "13.00 [12.00, 14.00]"
    assert "own 2 test images and masks, checkpoint best" in notes(table)
    assert "No test figures: 1 without such an evaluation." in notes(table)
    titles = [column.title for column, _ in table.visible()]
    assert titles[-2:] == ["test PSNR dB", "test SSIM"]
    keys = [column.key for column in table.columns]
    assert len(set(keys)) == len(keys)


def test_without_evaluations_nothing_is_said_of_the_test_split(tmp_path):
    fake_run(tmp_path / "a")
    ((table,), _) = shown(tmp_path)
    assert "test" not in render([table], "table")
    assert not any(key.startswith("test.") for key in table.values()[0])


def test_the_checkpoint_decides_which_of_several_counts_and_not_the_figures(tmp_path):
    run = fake_run(tmp_path / "a", ema_decay=0.9)
    for name, which, weights, psnr in (
        ("1", "best", "raw", 18.0),
        ("2", "latest", "averaged", 16.0),
        ("3", "best", "averaged", 14.0),
    ):
        fake_evaluation(run, [psnr, psnr], name=name, which=which, weights=weights)
    other = fake_run(tmp_path / "b", ema_decay=0.9)
    fake_evaluation(other, [18, 18], name="1", which="best", weights="raw")
    fake_evaluation(other, [13, 13], name="2", which="latest", weights="averaged")
    fake_evaluation(fake_run(tmp_path / "c", ema_decay=0.9), [17, 17], weights="raw")
    ((table,), pairs) = shown(tmp_path)
    assert column(table, "test.psnr_db") == {"a": 14.0, "b": 13.0, "c": 17.0}
    assert column(table, "test.checkpoint") == {"a": "best", "b": "latest", "c": "raw"}
    assert "checkpoint" in [column.title for column, _ in table.visible()]
    assert "never the better" in notes(table)
    assert pairs[0].title.endswith("from a, mask=center")  # the same one is subtracted


def test_a_checkpoint_that_is_no_longer_the_best_is_called_by_its_step(tmp_path):
    run = fake_run(tmp_path / "a")  # best at step 50
    fake_evaluation(run, [12, 14], step=20)
    ((table,), _) = shown(tmp_path)
    assert column(table, "test.checkpoint") == {"a": "step 20"}
    fake_evaluation(run, [15, 16], name="later")
    ((table,), _) = shown(tmp_path)
    assert column(table, "test.checkpoint") == {"a": "best"}
    assert column(table, "test.psnr_db") == {"a": 15.5}


def test_only_evaluations_of_the_own_split_and_masks_count(tmp_path):
    fake_evaluation(fake_run(tmp_path / "a"), [12, 14], overrides=["mask=random"])
    fake_evaluation(fake_run(tmp_path / "b"), [12, 14], overrides=None)
    torn = fake_run(tmp_path / "c")
    fake_evaluation(torn, [12, 14])
    damage(torn, "evaluation/test/metrics.json", "{")
    ((table,), _) = shown(tmp_path)
    assert "test.psnr_db" not in table.values()[0]


@pytest.mark.parametrize(
    ("override", "own"),
    [
        ("batch_size=16", True),
        ("dataset.data_dir=/elsewhere", True),
        ("image_size=64", False),
        ("mask.max_area=0.5", False),
        ("a_key_of_later=1", False),
    ],
)
def test_what_changes_neither_images_nor_masks_leaves_an_evaluation_the_runs_own(
    tmp_path, override, own
):
    fake_evaluation(fake_run(tmp_path / "a"), [12, 14], overrides=[override])
    ((table,), _) = shown(tmp_path)
    assert ("test.psnr_db" in table.values()[0]) is own


@pytest.mark.parametrize("own", [True, False])
def test_what_an_evaluation_says_of_itself_counts_whatever_its_overrides(tmp_path, own):
    fake_evaluation(fake_run(tmp_path / "a"), [12, 14], overrides=["mask=center"], own=own)
    ((table,), _) = shown(tmp_path)
    assert ("test.psnr_db" in table.values()[0]) is own


def test_other_test_images_than_most_are_blank_and_said(tmp_path):
    for name in "abc":
        fake_evaluation(fake_run(tmp_path / name), [12, 14])
    fake_evaluation(fake_run(tmp_path / "d"), [22, 24], images="more images")
    fake_evaluation(fake_run(tmp_path / "e"), [22, 24], masks="other masks")
    fake_run(tmp_path / "f")
    ((table,), pairs) = shown(tmp_path)
    assert column(table, "test.psnr_db") == dict.fromkeys("abc", 13.0)
    assert "1 without such an evaluation, 2 of other test images or masks" in notes(table)
    assert len(pairs) == 1
    ((table,), _) = shown(tmp_path, filters=["run=d"])
    assert column(table, "test.psnr_db") == {"d": 23.0}


def test_runs_are_ranked_by_validation_and_on_request_by_test(tmp_path):
    for name, validation, test in (("a", 15.0, 19.0), ("b", 17.0, 18.0), ("c", 16.0, 20.0)):
        fake_evaluation(fake_run(tmp_path / name, validation), [test, test])
    fake_run(tmp_path / "d", 18.0)

    def order(sort):
        compared = sections.compare(load([tmp_path]), sort=sort)
        return "".join(run.label for run in compared.ranked)

    assert order("psnr_db") == order("validation.last.psnr_db") == "dbca"
    assert order("best.psnr_db") == order("validation.best.psnr_db") == "dbca"
    assert order("test.psnr_db") == "cabd"
    assert order("-test.ssim") == "bacd"


def test_means_over_seeds_keep_the_splits_apart(tmp_path):
    for seed, psnr in enumerate((15.0, 17.0, 19.0)):
        run = fake_run(tmp_path / f"{seed}", psnr, seed=seed)
        if seed < 2:
            fake_evaluation(run, [psnr - 3, psnr - 3], images="test images")
    ((table,), _) = shown(tmp_path, group_by=["seed"])
    (row,) = table.values()
    assert (row["validation.last.psnr_db"], row["validation.last.psnr_db.sd"]) == (17.0, 2.0)
    assert (row["test.psnr_db"], row["test.psnr_db.sd"]) == (13.0, pytest.approx(np.sqrt(2)))
    assert (row["n"], row["test.n"]) == (3, 2)
    assert table.rows[0]["test.psnr_db"].text == "13.00 ± 1.41 (2 of 3)"


def test_runs_without_a_validation_split_have_tables_of_their_own(tmp_path):
    for name, psnr in (("new", 15.0), ("newer", 14.0)):
        fake_evaluation(fake_run(tmp_path / name, psnr), [12, 14])
    of = {"masks": "test masks", "images": "test images"}
    for name, psnr in (("old", 18.0), ("older", 19.0)):
        older = fake_run(tmp_path / name, psnr, split="test", **of)
        fake_evaluation(older, [17, 19], overrides=None)
    ((first, second), pairs) = shown(tmp_path)
    assert first.title.startswith("40 validation images of photos")
    assert second.title.startswith("40 test images of photos")
    assert list(column(first, "run")) == ["new", "newer"]
    assert list(column(second, "run")) == ["older", "old"]
    assert "from before there was a validation split: tested on the test split" in notes(second)
    assert "which is of validation images: figures do not compare" in notes(second)
    assert first.answer.startswith("Best by validation PSNR: new.")
    assert second.answer.startswith("Best by test PSNR: older.")
    assert column(second, "test.last.psnr_db") == {"older": 19.0, "old": 18.0}
    ((filtered,), _) = shown(tmp_path, filters=["test.last.psnr_db>18.5"])
    assert column(filtered, "test.last.psnr_db") == {"older": 19.0}
    assert column(second, "test.psnr_db") == {"older": 18.0, "old": 18.0}
    assert not any("validation" in column.key for column in second.columns)
    assert not any(column.key.startswith("test.last") for column in first.columns)
    assert [set(column(table, "run")) for table in pairs] == [{"newer"}, {"older"}]
    first, second, *_ = json.loads(render([first, second, *pairs], "json"))["tables"]
    assert "validation.last.psnr_db" in first["rows"][0]
    assert "validation.last.psnr_db" not in second["rows"][0]


def test_a_narrow_terminal_has_test_figures_in_a_block_of_their_own(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        run = fake_run(tmp_path / name, lambda_adv=float(ord(name)))
        if name != "b":
            fake_evaluation(run, [12, 14])
    monkeypatch.setenv("COLUMNS", "80")
    ((table,), _) = shown(tmp_path)
    lines = render([table], "table").splitlines()
    assert max(map(len, lines)) <= 80
    block = next(i for i, line in enumerate(lines) if line.startswith("run") and "test" in line)
    found = [line.split("13.00 [12.00, 14.00]") for line in lines[block + 1 :]]
    assert [(line[0].split()[0], len(line)) for line in found] == [("a", 2), ("b", 1), ("c", 2)]


def test_a_run_folder_of_format_1_is_of_the_test_split_throughout():
    found, pairs = shown(Path(__file__).parents[1] / "fixtures" / "format1")
    assert all(table.title.startswith("512 test images") for table in found)
    assert pairs == []
    (evaluated,) = [table for table in found if table.values()[0]["run"] == "run"]
    (row,) = evaluated.values()
    assert row["test.checkpoint"] == "best"
    assert row["test.psnr_db"] == pytest.approx(row["test.best.psnr_db"], abs=1e-5)
