import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxenc.data.loaders import Sampler
from ctxenc.errors import UserError


@given(batch=st.integers(1, 5), steps=st.integers(1, 6), seed=st.integers(0, 2**31 - 1))
@settings(deadline=None)
def test_an_epoch_holds_each_image_once(batch, steps, seed):
    sampler = Sampler(size=batch * steps, batch_size=batch, seed=seed)
    for epoch in range(3):
        drawn = [sampler.indices(epoch * steps + step) for step in range(steps)]
        assert sorted(np.concatenate(drawn)) == list(range(batch * steps))


def test_images_left_over_are_dropped_and_others_the_next_epoch():
    sampler = Sampler(size=10, batch_size=4, seed=0)
    epochs = [
        np.concatenate([sampler.indices(2 * e), sampler.indices(2 * e + 1)]) for e in range(20)
    ]
    assert all(len(set(epoch.tolist())) == 8 for epoch in epochs)
    assert set(np.concatenate(epochs).tolist()) == set(range(10))


def test_epochs_and_seeds_differ_and_nothing_else_matters():
    sampler = Sampler(size=50, batch_size=50, seed=1)
    again, other = Sampler(size=50, batch_size=50, seed=1), Sampler(size=50, batch_size=50, seed=2)
    assert not np.array_equal(sampler.indices(0), sampler.indices(1))
    assert not np.array_equal(sampler.indices(0), other.indices(0))
    for step in (9, 0, 1000, 0):  # in any sequence, and after others were asked for
        np.testing.assert_array_equal(sampler.indices(step), again.indices(step))
    halves = Sampler(size=50, batch_size=25, seed=1)
    np.testing.assert_array_equal(
        np.concatenate([halves.indices(2), halves.indices(3)]), sampler.indices(1)
    )


def test_changing_a_batch_of_indices_changes_no_later_one():
    sampler = Sampler(size=6, batch_size=6, seed=0)
    before = sampler.indices(0).tolist()
    sampler.indices(0).copy().fill(0)
    with pytest.raises(ValueError, match="read-only"):
        sampler.indices(0)[:] = 0
    assert sampler.indices(0).tolist() == before


def test_a_batch_larger_than_the_split_is_refused_by_name():
    with pytest.raises(UserError, match=r"^batch_size=11: must be at most 10, the number of tr"):
        Sampler(size=10, batch_size=11, seed=0)
    assert Sampler(size=10, batch_size=10, seed=0).steps_per_epoch == 1
