"""Ridge, neighbours, pooling and the features' file, against others' code and by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

from ctxenc.data.images import MemoryImages
from ctxenc.errors import UserError
from ctxenc.probing import features, linear, neighbours
from ctxenc.probing.features import Features

RNG = np.random.default_rng(0)


def drawn(count, width=12, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, classes, count)
    centres = np.random.default_rng(9).normal(0, 1.5, (classes, width))
    values = centres[numbers] + rng.normal(0, 2, (count, width)) + 3
    return Features((values.astype(np.float16),)), numbers


def test_standardised_features_have_mean_0_and_variance_1_and_a_constant_one_is_0(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 64)
    array = RNG.normal(5, 3, (300, 4)).astype(np.float16)
    array[:, 2] = 7
    made = Features((array,))
    found = np.concatenate(list(made.chunks(made.standard())))
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(0), [1, 1, 0, 1], atol=1e-4)


def test_joined_features_are_those_of_all_stages_side_by_side_unless_they_are_too_many(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 70)
    stages = {name: drawn(200, width, seed=width)[0] for name, width in {"a": 5, "b": 7}.items()}
    found = features.with_joined(stages)
    assert list(found) == ["a", "b", "joined"]
    joined = found["joined"]
    assert (len(joined), joined.width) == (200, 12)
    parts = [np.concatenate(list(f.chunks(f.standard()))) for f in stages.values()]
    whole = np.concatenate(list(joined.chunks(joined.standard())))
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))
    one = {"a": stages["a"]}
    assert features.with_joined(one) == one
    monkeypatch.setattr(features, "WIDEST_JOINED", 11)
    assert features.with_joined(stages) == stages


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_ridge_is_scikit_learns(monkeypatch, penalty):
    monkeypatch.setattr(features, "CHUNK", 70)  # a last chunk that is not whole
    (train, numbers), (other, _) = drawn(500), drawn(90, seed=1)
    standard = train.standard()
    (found,) = linear.fitted(train, standard, numbers, 3, [penalty])
    x, unseen = ((f.arrays[0] - standard.mean) * standard.scale for f in (train, other))
    theirs = Ridge(alpha=penalty * len(numbers)).fit(x, np.eye(3)[numbers])
    np.testing.assert_allclose(found.weights, theirs.coef_.T, atol=1e-4)
    np.testing.assert_allclose(found.intercept, theirs.intercept_, atol=1e-4)
    np.testing.assert_array_equal(found.predict(other), theirs.predict(unseen).argmax(axis=1))


def test_the_penalty_is_chosen_by_validation_images_and_trying_ends_after_the_best():
    train, numbers = drawn(200)
    shares = iter([60.0, 70.0, 65.0])
    best, share = linear.best(train, train.standard(), numbers, 3, lambda classifier: next(shares))
    assert (best.penalty, share) == (linear.PENALTIES[1], 70.0)


@pytest.mark.parametrize("at_once", [2**27, 12 * 130])
def test_neighbours_vote_as_scikit_learns(monkeypatch, at_once):
    monkeypatch.setattr(features, "CHUNK", 100)
    monkeypatch.setattr(neighbours, "MOST_AT_ONCE", at_once)  # all at once, or in parts
    monkeypatch.setattr(neighbours, "SIMILARITIES", 2000)
    (train, numbers), (other, true) = drawn(400), drawn(150, seed=1)
    standard = train.standard()
    cosines, nearest = neighbours.nearest(train, other, standard)
    x, unseen = ((f.arrays[0] - standard.mean) * standard.scale for f in (train, other))
    theirs = KNeighborsClassifier(
        20, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
    ).fit(x, numbers)
    distances, indices = theirs.kneighbors(unseen)
    np.testing.assert_allclose(cosines, 1 - distances, atol=0.01)  # operands of bfloat16
    assert np.mean([len(set(a) & set(b)) for a, b in zip(nearest, indices, strict=True)]) > 19
    found = neighbours.vote(cosines, numbers[nearest], 3)
    assert (found == theirs.predict(unseen)).mean() > 0.98
    assert (found == true).mean() > 0.6


def test_a_near_neighbour_outvotes_many_far_ones():
    cosines = np.array([[0.9, 0.5, 0.5, 0.5]], np.float32)
    assert neighbours.vote(cosines, np.array([[1, 0, 0, 0]]), 2) == 1
    assert neighbours.vote(np.full_like(cosines, 0.5), np.array([[1, 0, 0, 0]]), 2) == 0


def test_pooling_is_pytorchs_adaptive_one():
    maps = RNG.normal(0, 1, (2, 7, 6, 3)).astype(np.float32)
    found = np.asarray(features.average_pool(jnp.asarray(maps), 4))
    rows = [(0, 2), (1, 4), (3, 6), (5, 7)]  # of 7: floor(i 7/4) to ceil((i + 1) 7/4)
    columns = [(0, 2), (1, 3), (3, 5), (4, 6)]
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            expected = maps[:, top:bottom, left:right].mean((1, 2))
            np.testing.assert_allclose(found[:, i, j], expected, atol=1e-5)
    small = jnp.asarray(maps[:, :3, :3])
    np.testing.assert_array_equal(features.average_pool(small, 4), small)


def test_pixels_are_the_images_themselves_in_order_whatever_the_batch():
    array = RNG.integers(0, 256, (11, 8, 8, 3), np.uint8)
    found = features.extract(features.of_pixels(8), MemoryImages(array), 4, lambda *_: None)
    expected = array.reshape(11, -1) / 127.5 - 1
    np.testing.assert_allclose(found["pixels"].arrays[0], expected, atol=1e-3)


def test_an_unknown_stage_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match=r"^--stages conv9: no such stage; .* some of pixels$"):
        features.of_pixels(8).only(["conv9"])
