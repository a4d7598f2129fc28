import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import masks
from ctxenc.config import instantiate
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from ctxenc.masks import mixture


def column(number):
    """A mask whose missing pixels are one column."""

    def strategy(key, batch, height, width):
        del key
        missing = jnp.arange(width) == number
        return jnp.broadcast_to(missing[None, None, :, None], (batch, height, width, 1)) * 1.0

    return strategy


PARTS = {name: column(number) for number, name in enumerate("abc")}


def test_parts_are_drawn_in_proportion_to_their_weights():
    mixed = mixture.Mixture(parts=PARTS, weights={"c": 3.0, "a": 1.0, "b": 0.0})
    mask = mixed(jax.random.key(0), 4000, 2, 3)
    assert (mask.sum((1, 2, 3)) == 2).all()
    assert mixed.parts_used == [PARTS["c"], PARTS["a"]]
    share = np.asarray(mask[:, 0, :, 0]).mean(0)
    assert share[1] == 0
    np.testing.assert_allclose(share, [0.25, 0, 0.75], atol=0.03)


def test_frozen_masks_depend_on_the_index_alone():
    mixed = mixture.Mixture(parts=PARTS, weights=dict.fromkeys(PARTS, 1.0))
    together = masks.frozen(mixed, jnp.arange(20), 2, 3)
    assert set(np.asarray(together[:, 0, :, 0]).argmax(1)) == {0, 1, 2}
    apart = masks.frozen(mixed, jnp.array([13, 4]), 2, 3)
    np.testing.assert_array_equal(together[jnp.array([13, 4])], apart)


def test_every_part_draws_with_a_key_of_its_own():
    def noise(key, batch, height, width):
        return jax.random.bernoulli(key, shape=(batch, height, width, 1)) * 1.0

    mixed = mixture.Mixture(parts={"a": noise, "b": noise}, weights={"a": 1.0, "b": 1.0})
    mask = np.asarray(mixed(jax.random.key(0), 2, 16, 16))
    alone = [np.asarray(noise(k, 2, 16, 16)) for k in jax.random.split(jax.random.key(0), 3)[1:]]
    assert not np.array_equal(*alone)
    for number in range(2):
        assert any(np.array_equal(mask[number], one[number]) for one in alone)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({"a": 1.0, "b": 1.0}, "mask.weights.c: missing; expected a weight for each part"),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, "mask.weights: all are 0; expected one above 0"),
        ({"a": 1.0, "b": float("inf"), "c": 1.0}, "mask.weights.b=inf: expected 0 or more"),
    ],
)
def test_bad_weights_are_refused(weights, named):
    with pytest.raises(UserError, match=named):
        mixture.Mixture(parts=PARTS, weights=weights)


def test_the_choices_of_the_group_are_its_parts_and_others_can_be_added():
    overrides = ["mask=mixture", "mask.weights.blocks=2", "mask.parts.border.visible=0.25"]
    more = ["+mask@mask.parts.center=center", "+mask.weights.center=0.5", "mask_height=8"]
    made = instantiate.strategy(check(compose([*overrides, *more])).mask)
    assert made.weights == {"blocks": 2.0, "freeform": 1.0, "border": 1.0, "center": 0.5}
    assert set(made.parts) == set(made.weights)
    assert made.parts["border"].keywords == {"visible": 0.25}
    assert made.parts["center"](jax.random.key(0), 1, 32, 32).sum() == 8 * 16


def test_a_parts_folder_becomes_absolute():
    added = ["+mask@mask.parts.segments=segments", "mask.parts.segments.folder=labels"]
    node = check(compose(["mask=mixture", *added])).mask["parts"]["segments"]
    assert node["folder"].startswith("/")
    assert node["folder"].endswith("/labels")
