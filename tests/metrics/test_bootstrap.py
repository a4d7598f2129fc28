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
