import functools

import jax
import jax.numpy as jnp
import numpy as np

from ctxenc.masks import freeform


def test_distances_from_a_bent_line_in_radii_of_the_brush():
    path = jnp.array([[2.5, 2.5], [2.5, 8.5], [6.5, 8.5]])[:, None]  # right, then down
    squared = freeform._distance(path, jnp.array([2.0]), 12, 12)[0]
    assert squared[2, 2] == squared[2, 5] == squared[4, 8] == 0
    assert squared[4, 5] == 1  # two pixels below the first segment
    assert squared[2, 0] == 1  # before the start: ends are round
    assert squared[1, 1] == 0.5
    assert squared[8, 10] == 2  # two down and two right of the end


def test_chains_stay_in_the_image_and_their_segments_are_no_longer_than_asked(key):
    uniform = jax.random.uniform(key, (2 * 6 + 4, 5, 200))
    corners = np.asarray(freeform._paths(uniform, jnp.array([20, 40]), 12.0))
    assert corners.shape == (7, 5, 200, 2)
    assert corners.min() >= 0
    assert corners[..., 0].max() <= 20
    assert 20 < corners[..., 1].max() <= 40
    lengths = np.sqrt((np.diff(corners, axis=0) ** 2).sum(-1))
    assert lengths.max() <= 12.001
    used = (lengths > 0).sum(0)
    assert np.unique(used).tolist() == [1, 2, 3, 4, 5, 6]


def test_strokes_become_thinner_or_wider_where_the_area_is_not_theirs(key):
    shape = {"strokes": 1, "segments": 1, "length": 0.5, "min_width": 0.1, "max_width": 0.1}
    for area in (5, 200):
        bounds = {"min_area": area / 1024, "max_area": area / 1024}
        draw = functools.partial(freeform.brush_strokes, **shape, **bounds)
        mask = jax.jit(draw, static_argnums=(1, 2, 3))(key, 20, 32, 32)[..., 0]
        assert (mask.sum((1, 2)) == area).all()
        edges = np.abs(np.diff(np.asarray(mask), axis=2)).sum(2)
        assert edges.max() <= 2 + (area < 10)  # one stroke: a row enters and leaves it once
