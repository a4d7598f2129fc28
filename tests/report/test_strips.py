import numpy as np
import pytest

from ctxenc.report import strips

COLOUR = np.array([10.0, 20.0, 30.0])


def test_the_three_stand_side_by_side():
    before, after = np.full((20, 30, 3), 100, np.uint8), np.full((20, 30, 3), 200, np.uint8)
    missing = np.zeros((20, 30), bool)
    missing[5:10, 5:10] = True
    made = strips.strip(before, missing, after, COLOUR)
    assert made.shape == (20, 3 * 30 + 2 * strips.GAP, 3)
    np.testing.assert_array_equal(made[:, :30], before)
    np.testing.assert_array_equal(made[:, -30:], after)
    middle = made[:, 30 + strips.GAP :][:, :30]
    np.testing.assert_array_equal(middle[missing], np.broadcast_to(COLOUR, (25, 3)))
    np.testing.assert_array_equal(middle[~missing], 100)


@pytest.mark.parametrize("shape", [(3000, 1500), (3, 3000)])
def test_large_grey_photos_are_shown_smaller(shape):
    grey = np.full((*shape, 1), 7, np.uint8)
    made = strips.strip(grey, np.ones(shape, bool), grey, COLOUR)
    width = (made.shape[1] - 2 * strips.GAP) // 3
    assert max(made.shape[0], width) == strips.LONGEST
    np.testing.assert_array_equal(made[:, :width], 7)
    np.testing.assert_array_equal(made[0, width + strips.GAP], COLOUR)
