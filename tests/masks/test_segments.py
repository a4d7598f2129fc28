import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ctxenc.errors import UserError
from ctxenc.masks import segments

AREAS = {"min_area": 0.1, "max_area": 0.25}


@pytest.fixture
def ell(tmp_path):
    """A folder of one map with one shape: a square without its upper right quarter."""
    labels = np.zeros((64, 64), np.uint8)
    labels[10:40, 20:50] = 200
    labels[10:25, 35:50] = 0
    Image.fromarray(labels).save(tmp_path / "ell.png")
    return tmp_path


def shape(strategy, y, x, upside_down, mirrored, size=32):
    numbers = jnp.array([0.0, 0.5, y, x, upside_down, mirrored])[:, None]
    return np.asarray(strategy._shape(numbers, size, size)[0])


def test_a_shape_is_scaled_placed_flipped_and_cropped_by_the_edges(ell):
    half = segments.Segments(folder=str(ell), **AREAS, min_size=0.5, max_size=0.5)
    expected = np.zeros((32, 32), bool)
    expected[8:24, 8:16] = expected[16:24, 16:24] = True
    np.testing.assert_array_equal(shape(half, 0.5, 0.5, 0.9, 0.9), expected)
    np.testing.assert_array_equal(shape(half, 0.5, 0.5, 0.1, 0.9), expected[::-1])
    np.testing.assert_array_equal(shape(half, 0.5, 0.5, 0.9, 0.1), expected[:, ::-1])
    cropped = np.zeros((32, 32), bool)
    cropped[:16, :16] = expected[8:24, 8:24]
    np.testing.assert_array_equal(shape(half, 0.25, 0.25, 0.9, 0.9), cropped)
    cropped = np.zeros((32, 32), bool)
    cropped[:8, :8] = expected[16:24, 16:24]
    np.testing.assert_array_equal(shape(half, 0.0, 0.0, 0.9, 0.9), cropped)


def test_a_large_shape_is_cropped_to_an_area_within_bounds(ell):
    whole = segments.Segments(folder=str(ell), **AREAS, min_size=1.5, max_size=2.0)
    draw = jax.jit(lambda key: whole(key, 50, 20, 24))
    missing = np.asarray(draw(jax.random.key(0)).sum((1, 2, 3)))
    assert 48 <= missing.min() < missing.max() <= 120
    assert len(set(missing.tolist())) > 20  # areas are drawn, and not all the most


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ((0.0, 0.5), r"mask\.min_size=0: expected a number from 0\.01 to 2"),
        ((0.8, 0.5), r"mask\.min_size=0\.8: must be at most mask\.max_size, 0\.5"),
    ],
)
def test_bad_sizes_are_refused(ell, sizes, named):
    with pytest.raises(UserError, match=named):
        segments.Segments(folder=str(ell), **AREAS, min_size=sizes[0], max_size=sizes[1])
