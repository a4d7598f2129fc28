import numpy as np
import pytest

from ctxenc.comparison import paired, sections
from ctxenc.comparison.records import load
from tests.fake_runs import RANDOM, damage, fake_evaluation, fake_run


def compared(folder, **options):
    return sections.compare(load([folder]), **options)


def test_pairs_are_differences_of_the_same_images(tmp_path):
    rng = np.random.default_rng(1)
    difficulty = rng.normal(15, 5, 400)  # the images differ far more than the runs do
    gain = rng.normal(0.3, 0.5, 400)
    fake_evaluation(fake_run(tmp_path / "a"), difficulty)
    fake_evaluation(fake_run(tmp_path / "b"), difficulty + gain)
    fake_evaluation(fake_run(tmp_path / "c"), difficulty, masks="others")
    found = compared(tmp_path)
    (pair,), left_out = paired.pairs(found.ranked, found.baselines)
    assert (pair.run, pair.baseline, pair.images, left_out) == ("b", "a", 400, [])
    psnr = pair.differences["psnr_db"]
    assert psnr.mean == pytest.approx(gain.mean(), abs=1e-4)
    half = 1.96 * gain.std(ddof=1) / 20  # of the normal approximation
    assert psnr.low == pytest.approx(gain.mean() - half, abs=0.3 * half)
    assert psnr.high == pytest.approx(gain.mean() + half, abs=0.3 * half)
    assert psnr.certain
    l1 = 100 * (1 / (difficulty + gain) - 1 / difficulty).mean()
    assert pair.differences["l1_percent"].mean == pytest.approx(l1, rel=1e-3)


def test_runs_of_different_sections_pair_where_an_evaluation_is_the_same(tmp_path):
    fake_evaluation(fake_run(tmp_path / "a"), [10, 12], name="here", masks="m")
    other = fake_run(tmp_path / "b", masks="others", **RANDOM)
    fake_evaluation(other, [11, 12], name="there", masks="m")
    found = compared(tmp_path)
    (pair,), _ = paired.pairs(found.ranked, found.baselines)
    assert pair.differences["psnr_db"].mean == pytest.approx(0.5)
    assert not pair.differences["psnr_db"].certain


def test_raw_weights_are_another_side_than_the_average(tmp_path):
    run = fake_run(tmp_path / "a", ema_decay=0.99)
    fake_evaluation(run, [10, 12], name="averaged", weights="averaged")
    fake_evaluation(run, [9, 12], name="averaged-raw", weights="raw")
    fake_evaluation(fake_run(tmp_path / "b", ema_decay=None), [10, 13], weights="raw")
    found = compared(tmp_path)
    pairs, _ = paired.pairs(found.ranked, found.baselines)
    assert {(p.run, p.baseline) for p in pairs} == {("a (raw)", "a"), ("b", "a")}


def test_evaluations_that_cannot_be_paired_are_named_with_the_reason(tmp_path):
    runs = [fake_run(tmp_path / name) for name in "abcde"]
    for run, psnr in zip(runs, ([10, 12], [10, 12, 14], [10, np.inf], [1, 2], [3, 4]), strict=True):
        fake_evaluation(run, psnr)
    damage(runs[3], "evaluation/test/metrics.json", '{"mask_hash": 3}')
    damage(runs[4], "evaluation/test/per_image.csv", "index,model.psnr\n0,torn\n")
    found = compared(tmp_path)
    pairs, left_out = paired.pairs(found.ranked, found.baselines)
    assert pairs == []
    assert any("b: evaluation test has 3 images and that of a 2" in line for line in left_out)
    assert any("c/evaluation/test/per_image.csv" in line for line in left_out)
    assert any("d/evaluation/test/metrics.json" in line for line in left_out)
    assert any("e/evaluation/test/per_image.csv" in line for line in left_out)


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
    found = compared(tmp_path)
    pairs, left_out = paired.pairs(found.ranked, found.baselines)
    by_run = {pair.run: pair.differences for pair in pairs}
    assert left_out == []
    assert by_run["b"]["sharpness"].mean == pytest.approx(0.25)
    assert by_run["b"]["psnr_pooled_db"].mean == pytest.approx(0)
    assert by_run["b"].keys() - by_run["c"].keys() == {"ssim"}
    assert by_run["c"]["sharpness"].certain


def test_a_metric_that_a_resample_may_have_no_image_of_is_left_out(tmp_path):
    few = np.where(np.arange(40) == 3, 0.2, np.nan)
    for name in "ab":
        fake_evaluation(
            fake_run(tmp_path / name), np.full(40, 15.0), gradient=few, real_gradient=few
        )
    found = compared(tmp_path)
    (pair,), _ = paired.pairs(found.ranked, found.baselines)
    assert "psnr_db" in pair.differences
    assert "sharpness" not in pair.differences
