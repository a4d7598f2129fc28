"""The Pareto front."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ctxenc.comparison import pareto

NAN = np.nan


def test_what_is_worse_in_every_respect_is_not_on_the_front():
    badness = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [3.0, 2.0], [2.0, 2.0], [0.0, NAN]])
    assert pareto.front(badness).tolist() == [True, True, True, False, True, False]


@given(arrays(float, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.integers(0, 3)))
def test_each_is_on_the_front_or_behind_one_that_is(badness):
    on = pareto.front(badness)
    assert on.any()
    for row, ahead in zip(badness, on, strict=True):
        better = [(other <= row).all() and (other < row).any() for other in badness[on]]
        assert any(better) != ahead
