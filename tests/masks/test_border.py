import jax
import numpy as np
import pytest

from ctxenc.masks import border


@pytest.mark.parametrize(
    ("size", "visible", "rows", "columns"),
    [
        ((8, 8), 0.5, (2, 6), (2, 6)),
        ((9, 20), 0.34, (3, 6), (6, 13)),
        ((2, 3), 0.5, (0, 1), (0, 2)),
    ],
)
def test_all_is_missing_but_a_box_in_the_middle(size, visible, rows, columns):
    mask = border.frame(jax.random.key(0), 2, *size, visible=visible)
    expected = np.ones((2, *size, 1))
    expected[:, slice(*rows), slice(*columns)] = 0
    np.testing.assert_array_equal(mask, expected)
