import numpy as np
import pytest

from ctxenc.comparison import paired, sections
from ctxenc.comparison.records import load
from tests.fake_runs import RANDOM, damage, fake_evaluation, fake_run


def paired_rows(folder):
    """The rows of all tables, and what was left out."""
    found = sections.compare(load([folder]))
    tables, left_out = paired.tables(found)
    return [row for table in tables for row in table.values()], left_out


def test_pairs_are_differences_of_the_same_images(tmp_path):
    rng = np.random.default_rng(1)
    difficulty = rng.normal(15, 5, 400)  # the images differ far more than the runs do
    gain = rng.normal(0.3, 0.5, 400)
    fake_evaluation(fake_run(tmp_path / "a"), difficulty)
    fake_evaluation(fake_run(tmp_path / "b"), difficulty + gain)
    fake_evaluation(fake_run(tmp_path / "c"), difficulty, masks="others")
    (row,), left_out = paired_rows(tmp_path)
    assert (row["run"], row["baseline"], row["images"], left_out) == ("b", "a", 400, [])
    assert row["test.difference.psnr_db"] == pytest.approx(gain.mean(), abs=1e-4)
    half = 1.96 * gain.std(ddof=1) / 20  # of the normal approximation
    assert row["test.difference.psnr_db.low"] == pytest.approx(gain.mean() - half, abs=0.3 * half)
    assert row["test.difference.psnr_db.high"] == pytest.approx(gain.mean() + half, abs=0.3 * half)
    assert row["test.difference.psnr_db.low"] > 0
    l1 = 100 * (1 / (difficulty + gain) - 1 / difficulty).mean()
    assert row["test.difference.l1_percent"] == pytest.approx(l1, rel=1e-3)


def test_runs_of_different_sections_pair_where_an_evaluation_is_the_same(tmp_path):
    fake_evaluation(fake_run(tmp_path / "a"), [10, 12], name="here", masks="m")
    other = fake_run(tmp_path / "b", masks="others", **RANDOM)
    fake_evaluation(other, [11, 12], name="there", masks="m")
    found = sections.compare(load([tmp_path]))
    (table,), _ = paired.tables(found)
    (row,) = table.rows
    assert row["test.difference.psnr_db"].value == pytest.approx(0.5)
    assert row["test.difference.psnr_db"].text == "≈ +0.50 [0.00, +1.00]"


def test_raw_and_averaged_weights_are_compared_as_two_runs_would_be(tmp_path):
    run = fake_run(tmp_path / "a", ema_decay=0.99)
    fake_evaluation(run, [10, 12], name="averaged", weights="averaged")
    fake_evaluation(run, [9, 12], name="averaged-raw", weights="raw")
    fake_evaluation(fake_run(tmp_path / "b", ema_decay=None), [10, 13], weights="raw")
    rows, _ = paired_rows(tmp_path)
    assert {(row["run"], row["baseline"]) for row in rows} == {("a (raw)", "a"), ("b", "a")}


def test_evaluations_that_cannot_be_paired_are_named_with_the_reason(tmp_path):
    runs = [fake_run(tmp_path / name) for name in "abcde"]
    for run, psnr in zip(runs, ([10, 12], [10, 12, 14], [10, np.inf], [1, 2], [3, 4]), strict=True):
        fake_evaluation(run, psnr)
    damage(runs[3], "evaluation/test/metrics.json", '{"mask_hash": 3}')
    damage(runs[4], "evaluation/test/per_image.csv", "index,model.psnr\n0,torn\n")
    rows, left_out = paired_rows(tmp_path)
    assert rows == []
    assert any("b: evaluation test has 3 images and that of a 2" in line for line in left_out)
    assert any("c/evaluation/test/per_image.csv" in line for line in left_out)
    assert any("d/evaluation/test/metrics.json" in line for line in left_out)
    assert any("e/evaluation/test/per_image.csv" in line for line in left_out)


def test_evaluations_without_the_figures_of_each_image_are_one_line(tmp_path):
    for name in "abcd":
        fake_evaluation(run := fake_run(tmp_path / name), [10, 12])
        if name != "d":
            (run.path / "evaluation/test/per_image.csv").unlink()
    rows, left_out = paired_rows(tmp_path)
    assert left_out == ["a/evaluation/test and 2 more: no per_image.csv, so images are not paired"]
    assert {row["test.difference.psnr_db"] for row in rows} == {0.0}
    assert {row["test.difference.psnr_db.low"] for row in rows} == {None}  # of no known spread


def test_every_metric_whose_columns_both_have_is_paired(tmp_path):
    rng = np.random.default_rng(2)
    thin = np.arange(50) % 5 == 0  # holes without a gradient

    def evaluated(name, blur, **more):
        real = rng.uniform(0.1, 0.2, 50)
        gradients = {"real_gradient": np.where(thin, np.nan, real)}
        gradients["gradient"] = blur * gradients["real_gradient"]
        fake_evaluation(fake_run(tmp_path / name), np.full(50, 15.0), **(gradients | more))

    evaluated("a", 0.5)
    evaluated("b", 0.75, of_a_newer_version=np.ones(50))
    evaluated("c", 0.75, ssim=None)
    rows, left_out = paired_rows(tmp_path)
    b, c = sorted(rows, key=lambda row: row["run"])
    assert left_out == []
    assert b["test.difference.sharpness"] == pytest.approx(0.25)
    assert b["test.difference.psnr_pooled_db"] == pytest.approx(0)
    lacking = [key.removeprefix("test.difference.") for key in b if c[key] is None]
    assert lacking == ["ssim", "ssim.low", "ssim.high"]
    assert not any("of_a_newer_version" in key for key in b)
    assert c["test.difference.sharpness.low"] > 0


def test_a_metric_that_a_resample_may_have_no_image_of_is_left_out(tmp_path):
    few = np.where(np.arange(40) == 3, 0.2, np.nan)
    for name in "ab":
        fake_evaluation(
            fake_run(tmp_path / name), np.full(40, 15.0), gradient=few, real_gradient=few
        )
    (row,), _ = paired_rows(tmp_path)
    assert "test.difference.psnr_db" in row
    assert "test.difference.sharpness" not in row
