import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import augment
from ctxenc.errors import UserError

NOTHING = {"transpose": 0.0, "permute": False, "gain": 0.0, "offset": 0.0, "invert": 0.0}


def changed(images, seed=0, **options):
    colour = functools.partial(augment.colour, **(NOTHING | options))
    return np.asarray(colour(jax.random.key(seed), jnp.asarray(images)))


@pytest.fixture
def pictures():
    return np.random.default_rng(0).uniform(-1, 1, (200, 6, 6, 3)).astype(np.float32)


def test_with_nothing_to_change_images_stay_as_they_are(pictures):
    np.testing.assert_array_equal(changed(pictures), pictures)
    np.testing.assert_array_equal(augment.none(jax.random.key(0), jnp.asarray(pictures)), pictures)


def test_a_share_of_the_images_is_transposed(pictures):
    found = changed(pictures, transpose=0.3)
    same = (found == pictures).all((1, 2, 3))
    turned = (found == pictures.swapaxes(1, 2)).all((1, 2, 3))
    assert (same ^ turned).all()
    assert 0.2 < turned.mean() < 0.4


def test_all_six_orders_of_the_channels_come_up(pictures):
    found = changed(pictures, permute=True)
    orders = set()
    for one, before in zip(found, pictures, strict=True):
        order = tuple(
            next(c for c in range(3) if (one[..., o] == before[..., c]).all()) for o in range(3)
        )
        orders.add(order)
    assert len(orders) == 6
    assert all(sorted(order) == [0, 1, 2] for order in orders)


def test_gain_and_offset_are_each_channels_own_and_within_bounds():
    grey = np.full((500, 2, 2, 3), 0.5, np.float32)
    gained = changed(grey, gain=0.4)[:, 0, 0] / 0.5
    moved = changed(grey, offset=0.3)[:, 0, 0] - 0.5
    for found, low, high in ((gained, 0.6, 1.4), (moved, -0.3, 0.3)):
        assert low - 1e-6 <= found.min() < low + 0.02
        assert high - 0.02 < found.max() <= high + 1e-6
        assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.15


def test_a_share_is_inverted_and_nothing_leaves_the_scale(pictures):
    found = changed(pictures, invert=0.25)
    inverted = (found == -pictures).all((1, 2, 3))
    assert (inverted ^ (found == pictures).all((1, 2, 3))).all()
    assert 0.15 < inverted.mean() < 0.35
    everything = changed(pictures, transpose=0.5, permute=True, gain=1.0, offset=1.0, invert=0.5)
    assert everything.min() == -1
    assert everything.max() == 1


def test_the_key_decides(pictures):
    options = {"transpose": 0.5, "permute": True, "gain": 0.3, "offset": 0.2, "invert": 0.1}
    one, again, other = (changed(pictures, seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("option", ["transpose", "gain", "offset", "invert"])
def test_bad_options_are_named(pictures, option):
    with pytest.raises(UserError, match=rf"augment\.{option}=1\.5: expected a number from 0 to 1"):
        changed(pictures, **{option: 1.5})


def test_a_share_is_another_image_beyond_a_line(pictures):
    """Of a black and a white image, some of each; elsewhere one of them, but for the edge."""
    count, size = 400, 32
    shades = np.where(np.arange(count) % 2, 1.0, -1.0).astype(np.float32)
    images = np.broadcast_to(shades[:, None, None, None], (count, size, size, 3))
    found = changed(images, collage=0.4)
    divided = (found != images).any((1, 2, 3))
    assert 0.3 < divided.mean() < 0.5
    others = (found[divided] == -images[divided]).all(-1)
    own = (found[divided] == images[divided]).all(-1)
    assert 0.3 < others.mean() < 0.7
    assert (others | own).mean() > 0.8
    # The line runs through the middle: what is beyond it is one piece, not single pixels.
    alike = (others[:, 1:] == others[:, :-1]).mean()
    assert alike > 0.9


def test_images_are_moved_alike_in_every_direction_and_mirrored_at_their_edges(pictures):
    found = np.asarray(augment.shift(jax.random.key(0), jnp.asarray(pictures), pixels=2))
    wide = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    moves = [
        next(
            (top, left)
            for top in range(5)
            for left in range(5)
            if (one == whole[top : top + 6, left : left + 6]).all()
        )
        for one, whole in zip(found, wide, strict=True)
    ]
    assert len(set(moves)) == 25
    assert np.abs(np.mean(moves, axis=0) - 2).max() < 0.3


@pytest.mark.parametrize("pixels", [0, 6])
def test_a_bad_shift_is_named(pictures, pixels):
    with pytest.raises(UserError, match=rf"augment\.pixels={pixels}: expected 1 to 5"):
        augment.shift(jax.random.key(0), jnp.asarray(pictures), pixels=pixels)
