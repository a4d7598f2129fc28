"""What is promised of every mask of arbitrary shape, as its file in conf/mask sets it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ctxenc import masks
from ctxenc.config import instantiate
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from ctxenc.masks import areas

BOUNDS = {
    "blocks": (0.15, 0.25),
    "region": (0.2, 0.3),
    "freeform": (0.1, 0.25),
    "segments": (0.1, 0.25),
}
SIZES = {(33, 20): 64, (227, 227): 4}  # (height, width): masks a batch


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory):
    """Three maps, of a disc and two bars each."""
    folder = tmp_path_factory.mktemp("labels")
    y, x = np.mgrid[:90, :120]
    for number in range(3):
        labels = np.where((y - 40) ** 2 + (x - 50) ** 2 < (12 + 6 * number) ** 2, 7, 0)
        labels[70:80, 10 : 60 + 20 * number] = 2
        labels[5:60, 100:112] = 9
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def strategy(request, label_maps):
    folder = [f"mask.folder={label_maps}"] if request.param == "segments" else []
    return instantiate.strategy(check(compose([f"mask={request.param}", *folder])).mask)


each = pytest.mark.parametrize(
    ("strategy", "shares"), BOUNDS.items(), indirect=["strategy"], ids=BOUNDS
)


@each
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_mask_has_an_area_within_bounds(strategy, shares, size):
    batch = SIZES[size]
    draw = jax.jit(lambda key: strategy(key, batch, *size))
    found = [np.asarray(draw(jax.random.key(seed))) for seed in range(16)]
    masks_ = np.concatenate(found)
    assert masks_.shape == (16 * batch, *size, 1)
    assert masks_.dtype == np.float32
    assert set(np.unique(masks_)) == {0.0, 1.0}
    missing = masks_.sum((1, 2, 3))
    least, most = areas.bounds(*shares, *size)
    assert least <= missing.min() < missing.max() <= most
    assert len(np.unique(masks_, axis=0)) > 0.99 * len(masks_)
    np.testing.assert_array_equal(draw(jax.random.key(5)), found[5])


@each
def test_frozen_masks_depend_on_the_index_alone(strategy, shares):
    frozen = jax.jit(functools.partial(masks.frozen, strategy, height=16, width=16))
    together, apart = frozen(jnp.arange(40)), frozen(jnp.array([31, 7, 2]))
    np.testing.assert_array_equal(together[jnp.array([31, 7, 2])], apart)
    least, most = areas.bounds(*shares, 16, 16)
    missing = np.asarray(together).sum((1, 2, 3))
    assert least <= missing.min() <= missing.max() <= most


BAD = {
    "mask=blocks mask.blocks=0": "mask.blocks=0: expected 1 or more",
    "mask=blocks mask.min_side=0.9 mask.max_side=0.9": "as the smallest block, 29 × 29 pixels",
    "mask=blocks mask.blocks=1 mask.max_side=0.1": "mask.max_side: must be more, as mask.blocks=1",
    "mask=blocks mask.min_side=0.5": "mask.min_side=0.5: must be at most mask.max_side, 0.35",
    "mask=blocks mask.max_area=0.1": "mask.min_area=0.15: must be at most mask.max_area, 0.1",
    "mask=blocks mask.min_area=0.1533 mask.max_area=0.1534": "expected bounds that a block",
    "mask=region mask.cell=0.01": "mask.cell=0.01: expected a number from 0.032 to 1",
    "mask=region mask.density=2": "mask.density=2: expected a number from 0 to 1",
    "mask=freeform mask.strokes=0": "mask.strokes=0: expected a number from 1 to 64",
    "mask=freeform mask.min_width=0": "mask.min_width=0: expected a number from 0.001 to 1",
    "mask=freeform mask.min_width=0.5": "mask.min_width=0.5: must be at most mask.max_width, 0.15",
    "mask=freeform mask.length=abc": "mask.length=abc: expected float",
    "mask=border mask.visible=1": "mask.visible=1: expected a number between 0 and 1",
    "mask=border mask.visible=0.99": "leaves something visible and something missing of 32 × 32",
    "mask=mixture mask.weights.blocks=-1": "mask.weights.blocks=-1: expected 0 or more",
    "mask=mixture +mask.weights.other=1": "mask.parts.other: missing; expected a part",
    "mask=mixture mask.parts.blocks.blocks=0": "mask.parts.blocks.blocks=0: expected 1 or more",
    "mask=mixture mask.parts.blocks=3": "mask.parts.blocks=3: expected a _target_",
    "mask=mixture mask.parts.blocks._target_=os.system": "blocks.min_area: no such option",
    "mask=mixture mask.parts=null": "mask.parts=None: expected masks by name",
    "mask=segments": "mask.folder: no default; set mask.folder=…",
}


@pytest.mark.parametrize("overrides", BAD)
def test_bad_options_are_refused_in_one_line(overrides):
    def draw(key):
        return instantiate.strategy(check(compose(overrides.split())).mask)(key, 2, 32, 32)

    with pytest.raises(UserError) as refused:
        jax.eval_shape(draw, jax.random.key(0))
    assert BAD[overrides] in str(refused.value)
    assert "\n" not in str(refused.value)
