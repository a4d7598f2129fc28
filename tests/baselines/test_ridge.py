"""Ridge regression against the textbook's formula."""

import numpy as np
import pytest

from ctxenc.baselines import ridge
from ctxenc.baselines.contract import to_float
from ctxenc.data.images import MemoryImages
from ctxenc.errors import UserError

SIZE = 8


def fit(train, hole):
    return ridge.Ridge().fit(train, hole, lambda done, of: None)


@pytest.fixture
def hole():
    missing = np.zeros((SIZE, SIZE), bool)
    missing[2:6, 2:6] = True
    return missing


def linear_images(hole, count, noise, seed=0):
    """Images whose missing values are a linear function of the visible ones, plus noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(128, 30, (count, SIZE * SIZE * 3))
    missing = hole.ravel().repeat(3)
    matrix = np.random.default_rng(1).normal(0, 0.05, ((~missing).sum(), missing.sum()))
    values[:, missing] = 120 + (values[:, ~missing] - 128) @ matrix
    values[:, missing] += rng.normal(0, noise, (count, missing.sum()))
    return np.clip(np.round(values), 0, 255).astype(np.uint8).reshape(count, SIZE, SIZE, 3)


def test_ridge_learns_what_is_linear(hole):
    fitted = fit(MemoryImages(linear_images(hole, 4000, noise=0)), hole)
    unseen = linear_images(hole, 50, noise=0, seed=9)
    filled = fitted(unseen, np.broadcast_to(hole, (50, SIZE, SIZE)))
    np.testing.assert_array_equal(filled[:, ~hole], to_float(unseen)[:, ~hole])
    error = (filled - to_float(unseen))[:, hole] * 127.5
    assert np.sqrt(np.mean(error**2)) < 0.6  # levels of 255: rounding alone is 0.29
    assert fitted.penalty < 1e-2


@pytest.mark.parametrize(("count", "noise"), [(150, 20), (2500, 20), (57, 0)])
def test_ridge_is_the_textbook_formula_with_the_penalty_that_held_out_images_choose(
    hole, count, noise, monkeypatch
):
    monkeypatch.setattr(ridge, "_CHUNK", 64)  # several chunks, the last one torn
    images = linear_images(hole, count, noise)
    fitted = fit(MemoryImages(images), hole)

    flat = images.reshape(count, -1) / 127.5 - 1
    missing = hole.ravel().repeat(3)
    x, y = flat[:, ~missing], flat[:, missing]

    def weights(rows, penalty):
        a, b = x[rows] - x[rows].mean(0), y[rows] - y[rows].mean(0)
        gram = a.T @ a / rows.sum()
        gram += penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
        return np.linalg.solve(gram, a.T @ b / rows.sum())

    held_out = np.arange(count) % 10 == 9
    rest = ~held_out

    def error(penalty):
        predicted = (x[held_out] - x[rest].mean(0)) @ weights(rest, penalty) + y[rest].mean(0)
        return np.mean((predicted - y[held_out]) ** 2)

    assert fitted.penalty == min(ridge.PENALTIES, key=error)
    everything = np.ones(count, bool)
    np.testing.assert_allclose(fitted.weights, weights(everything, fitted.penalty), atol=2e-4)
    np.testing.assert_allclose(fitted.mean, flat.mean(0), atol=1e-5)


def test_more_noise_takes_a_larger_penalty(hole):
    few = MemoryImages(linear_images(hole, 160, noise=40))
    many = MemoryImages(linear_images(hole, 3000, noise=0))
    assert fit(few, hole).penalty > 10 * fit(many, hole).penalty


def test_ridge_of_images_that_are_all_the_same(hole):
    images = MemoryImages(np.full((20, SIZE, SIZE, 3), 77, np.uint8))
    filled = fit(images, hole)(images.array, np.broadcast_to(hole, (20, SIZE, SIZE)))
    np.testing.assert_allclose(filled, 77 / 127.5 - 1, atol=1e-5)


def test_progress_is_told_up_to_the_last_image(hole):
    told = []
    train = MemoryImages(linear_images(hole, 50, noise=5))
    ridge.Ridge().fit(train, hole, lambda done, of: told.append((done, of)))
    assert told == [(45, 50), (50, 50)]


def test_where_there_is_no_ridge_regression_it_says_why(hole):
    images = MemoryImages(linear_images(hole, 5, noise=1))
    with pytest.raises(UserError, match="expected one hole for all images"):
        fit(images, None)
    with pytest.raises(UserError, match="expected two training images or more"):
        fit(MemoryImages(images.array[:1]), hole)
    with pytest.raises(UserError, match="expected images of at most 12288 values"):
        fit(MemoryImages(np.zeros((2, 65, 65, 3), np.uint8)), np.ones((65, 65), bool))
