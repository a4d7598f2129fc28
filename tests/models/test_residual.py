"""The generator that adds to the harmonic fill, and this fill beside the exact one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import masks
from ctxenc.baselines.fills import Harmonic
from ctxenc.errors import UserError
from ctxenc.masks import boxes, freeform
from ctxenc.models.residual import ResidualGenerator, harmonic

KEY = jax.random.key(0)
SMALL = {"widths": (4, 6), "decoder_widths": (6,)}
BOX = {"mask_height": 8, "mask_width": 8, "overlap": 0.0}
MASKS = {
    "center": partial(boxes.center_box, **BOX),
    "random": partial(boxes.random_box, **BOX),
    "strokes": partial(
        freeform.brush_strokes,
        **{"min_area": 0.1, "max_area": 0.25, "strokes": 12, "segments": 6},
        **{"length": 0.3, "min_width": 0.05, "max_width": 0.15},
    ),
}


def photographs(height=20, width=20):
    """Smooth noise in uint8: neighbours are alike, as in photographs."""
    noise = np.random.default_rng(0).integers(0, 256, (6, height // 4, width // 4, 3))
    return np.asarray(jax.image.resize(noise, (6, height, width, 3), "linear")).astype(np.uint8)


def given(images, mask, fill=1.0):
    pixels = masks.to_float(jnp.asarray(images))
    return jnp.concatenate([jnp.where(mask > 0, fill, pixels), mask], axis=-1)


def network(x, output_size=(8, 8)):
    """An initialised generator as a function of what it is given."""
    made = ResidualGenerator(output_size=output_size, **SMALL)
    variables = jax.jit(partial(made.init, train=False))(KEY, x)
    return lambda x, variables=variables: made.apply(variables, x, train=False)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("size", [(20, 20), (17, 24)])
def test_the_fill_it_adds_to_is_nearly_the_harmonic_one(name, size):
    images = photographs(24, 24)[:, : size[0], : size[1]]
    mask = masks.frozen(MASKS[name], jnp.arange(6), *size)
    x = given(images, mask)
    exact = Harmonic()(images, np.asarray(mask)[..., 0] > 0)
    found = np.asarray(jax.jit(harmonic)(x[..., :3], mask))
    np.testing.assert_allclose(found, exact, atol=0.02)


@pytest.mark.parametrize(
    ("output_size", "band"), [((8, 8), 0), ((12, 12), 2), ((20, 20), 0)], ids=["box", "band", "all"]
)
def test_it_predicts_the_window_of_what_it_adds_to(output_size, band):
    images, side = photographs(), 8 + 2 * band
    box = partial(boxes.random_box, mask_height=side, mask_width=side, overlap=band / side)
    mask = masks.frozen(box, jnp.arange(6), 20, 20)
    x = given(images, mask)
    fill = np.asarray(harmonic(x[..., :3], mask))
    predicted = np.asarray(network(x, output_size)(x))
    assert predicted.shape == (6, *output_size, 3)
    top, left = np.asarray(masks.corners(mask)).T - band
    for image, at_top, at_left, found in zip(fill, top, left, predicted, strict=True):
        if output_size == (20, 20):
            at_top = at_left = 0
        window = image[at_top:, at_left:][: output_size[0], : output_size[1]]
        # Fresh weights add little, and another window would be far away.
        assert np.abs(found - window).mean() < 0.05 < np.abs(found - window[::-1]).mean()


def test_another_light_changes_a_fill_as_it_changes_the_image():
    mask = masks.frozen(MASKS["center"], jnp.arange(6), 20, 20)
    x = given(photographs(), mask)
    generate = network(x)
    tint = jnp.array([0.1, -0.2, 0.05])
    changed = jnp.concatenate([0.5 * x[..., :3] + tint, mask], axis=-1)
    np.testing.assert_allclose(generate(changed), 0.5 * generate(x) + tint, atol=2e-3)


def test_what_is_in_the_hole_is_not_looked_at():
    mask = masks.frozen(MASKS["center"], jnp.arange(6), 20, 20)
    x, other = (given(photographs(), mask, fill) for fill in (1.0, -0.3))
    generate = network(x)
    np.testing.assert_array_equal(generate(x), generate(other))


def test_pixels_stay_in_range_where_they_are_used():
    mask = masks.frozen(MASKS["center"], jnp.arange(6), 20, 20)
    x = given(np.where(photographs() > 128, 255, 0).astype(np.uint8), mask)
    made = ResidualGenerator(output_size=(8, 8), **SMALL)
    variables = jax.tree.map(lambda leaf: leaf + 1.0, made.init(KEY, x, train=False))
    trained, _ = made.apply(variables, x, train=True, mutable=["batch_stats"])
    used = made.apply(variables, x, train=False)
    assert float(jnp.abs(trained).max()) > 1 >= float(jnp.abs(used).max())


def test_without_the_mask_it_is_refused():
    with pytest.raises(UserError, match="mask_channel=false: must be true"):
        network(jnp.zeros((2, 16, 16, 3)))
