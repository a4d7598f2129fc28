import numpy as np
import pytest

from ctxenc.comparison import pairing, sections
from tests.fake_runs import RANDOM, fake_evaluation, fake_run


def compared(folder, **options):
    return sections.compare(sections.load([folder]), **options)


def test_pairs_are_differences_of_the_same_images(tmp_path):
    rng = np.random.default_rng(1)
    difficulty = rng.normal(15, 5, 400)  # the images differ far more than the runs do
    gain = rng.normal(0.3, 0.5, 400)
    fake_evaluation(fake_run(tmp_path / "a"), difficulty)
    fake_evaluation(fake_run(tmp_path / "b"), difficulty + gain)
    fake_evaluation(fake_run(tmp_path / "c"), difficulty, masks="others")
    found = compared(tmp_path)
    (pair,), told = pairing.pairs(found.ranked, found.baselines)
    assert (pair.run, pair.baseline, pair.images, told) == ("b", "a", 400, [])
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
    (pair,), _ = pairing.pairs(found.ranked, found.baselines)
    assert pair.differences["psnr_db"].mean == pytest.approx(0.5)
    assert not pair.differences["psnr_db"].certain


def test_raw_weights_are_another_side_than_the_average(tmp_path):
    run = fake_run(tmp_path / "a", ema_decay=0.99)
    fake_evaluation(run, [10, 12], name="averaged", weights="averaged")
    fake_evaluation(run, [9, 12], name="averaged-raw", weights="raw")
    fake_evaluation(fake_run(tmp_path / "b", ema_decay=None), [10, 13], weights="raw")
    found = compared(tmp_path)
    pairs, _ = pairing.pairs(found.ranked, found.baselines)
    assert {(p.run, p.baseline) for p in pairs} == {("a (raw)", "a"), ("b", "a")}


def test_evaluations_that_cannot_be_paired_are_told(tmp_path):
    runs = [fake_run(tmp_path / name) for name in "abcd"]
    for run, psnr in zip(runs, ([10, 12], [10, 12, 14], [10, np.nan], [1, 2]), strict=True):
        fake_evaluation(run, psnr)
    (runs[3].path / "evaluation" / "test" / "metrics.json").write_text('{"mask_hash": 3}')
    found = compared(tmp_path)
    pairs, told = pairing.pairs(found.ranked, found.baselines)
    assert pairs == []
    assert any("b: evaluation test has 3 images and that of a 2" in line for line in told)
    assert any("c/evaluation/test/per_image.csv" in line for line in told)
    assert any("d/evaluation/test/metrics.json" in line for line in told)
