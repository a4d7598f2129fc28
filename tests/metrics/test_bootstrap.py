import numpy as np
import pytest

from ctxenc.metrics import bootstrap
from ctxenc.metrics.bootstrap import figure, means, resampled_means


def interval(resampled):
    found = figure(np.array([resampled.mean(), *resampled]))
    return found["low"], found["high"]


def test_an_interval_covers_the_true_mean_about_ninety_five_times_in_a_hundred():
    rng = np.random.default_rng(0)
    experiments = rng.exponential(3.0, (150, 600))  # skewed, as errors are; the true mean is 3
    samples = resampled_means(experiments)
    covered = sum(low <= 3.0 <= high for low, high in map(interval, samples.T))
    # 600 experiments: three standard deviations are 0.027, and percentile intervals of 150
    # skewed values are a little narrow.
    assert 0.91 <= covered / 600 <= 0.98


def test_an_interval_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(5, 2, (4000, 1))
    low, high = interval(resampled_means(values)[:, 0])
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(4000), rel=0.06)
    assert low < values.mean() < high


def test_columns_share_their_draws():
    values = np.random.default_rng(0).normal(size=(500, 1))
    samples = resampled_means(np.hstack([values, values - 1]))
    np.testing.assert_allclose(samples[:, 0] - samples[:, 1], 1)


def test_each_resample_is_a_mean_of_images_drawn_with_replacement():
    values = 10.0 ** np.arange(4)[:, None]  # the digits of four times the mean count the draws
    digits = np.round(resampled_means(values)[:, 0] * 4).astype(int)
    counts = np.array([[int(d) for d in f"{number:04d}"] for number in digits])
    assert (counts.sum(axis=1) == 4).all()
    assert (counts == 0).any()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.15)


def test_the_draws_are_the_same_every_time_and_few_at_once(monkeypatch):
    values = np.random.default_rng(0).normal(size=(64, 2))
    first = resampled_means(values)
    assert len(first) == bootstrap.RESAMPLES
    np.testing.assert_array_equal(resampled_means(values), first)
    monkeypatch.setattr(bootstrap, "_DRAWS_AT_ONCE", 200)
    few_at_once = resampled_means(values)
    assert few_at_once.shape == first.shape
    np.testing.assert_allclose(few_at_once.std(0), first.std(0), rtol=0.1)


def test_a_constant_has_no_width():
    assert interval(resampled_means(np.full((30, 1), 2.5))[:, 0]) == pytest.approx((2.5, 2.5))


def test_values_that_an_image_does_not_have_are_left_out():
    values = np.random.default_rng(0).normal(5, 2, (400, 2))
    values[100:, 1] = np.nan
    np.testing.assert_allclose(means(values), [values[:, 0].mean(), values[:100, 1].mean()])
    some = resampled_means(values)[:, 1]
    alone = resampled_means(values[:100, 1:])[:, 0]
    assert some.mean() == pytest.approx(alone.mean(), abs=0.02)
    assert some.std() == pytest.approx(alone.std(), rel=0.1)
    assert np.isnan(means(np.full((3, 1), np.nan))).all()


@pytest.mark.parametrize("images", [1, 200], ids=["figures alone", "by image"])
@pytest.mark.parametrize("seeds", [3, 5])
def test_seeds_tell_what_is_there_and_nothing_that_is_not(seeds, images):
    """Of 200 draws: seed noise is not taken for a difference, and one of three spreads is found."""
    rng = np.random.default_rng(0)

    def told_apart(difference):
        of_seeds = rng.normal(0, 0.1, (200, 2, seeds, 1)) + difference * np.array([[[1]], [[0]]])
        hard = rng.normal(15, 3, (200, 1, 1, images))  # far more than settings or seeds differ
        values = hard + of_seeds + rng.normal(0, 0.3, (200, 2, seeds, images)) * (images > 1)
        rows = [{"psnr": row} for row in values.reshape(-1, images)]
        samples = np.array([found["psnr_db"] for found in bootstrap.resampled_figures(rows)])
        samples = samples.reshape(200, 2, seeds, -1)[..., : 1 if images == 1 else None]
        intervals = [bootstrap.over_seeds(ours - theirs) for ours, theirs in samples]
        return np.mean([not found["low"] <= 0 <= found["high"] for found in intervals])

    assert told_apart(0.0) <= 0.1
    if seeds == 5:
        assert told_apart(0.3) >= 0.9


def test_two_seeds_have_no_interval_and_equal_ones_one_of_no_width():
    assert bootstrap.over_seeds(np.array([[1.0], [2.0]])) == {"mean": 1.5}
    assert bootstrap.over_seeds(np.ones((3, 1))) == {"mean": 1.0, "low": 1.0, "high": 1.0}
