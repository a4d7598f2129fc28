"""Filling arrays: with a model that was never trained, and with one that knows the answer."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ctxenc import step
from ctxenc.config.schema import Config
from ctxenc.errors import UserError
from ctxenc.inpainting import filling
from ctxenc.inpainting.crops import ModelWindow
from ctxenc.inpainting.filling import inpaint
from ctxenc.inpainting.holes import Hole
from ctxenc.masks import boxes
from ctxenc.run_folder.folder import Run
from ctxenc.trained import TrainedModel
from tests.tiny import tiny_model


@functools.cache
def untrained(kind):
    """One of `KINDS`: made when it is first asked for, as that compiles."""
    mask, changes = KINDS[kind]
    model = tiny_model(mask=mask)
    geometry = dataclasses.replace(model.geometry, **changes)
    generator = dataclasses.replace(model.generator, output_size=geometry.window)
    model = dataclasses.replace(model, generator=generator, geometry=geometry)
    variables = step.init(model, jax.random.key(0), 16).generator.variables
    return TrainedModel(
        Run("run"), OmegaConf.create(), Config(image_size=16), model, variables, jnp.zeros(3), 0
    )


def banded_box(*key_and_sizes, **box):
    return boxes.random_box(*key_and_sizes, **box, overlap=0.125)


WHOLE = {"window": (16, 16), "whole": True}
KINDS = {
    "center": (boxes.center_box, {}),
    "random": (boxes.random_box, {}),
    "overlap": (banded_box, {"band": 1}),
    "whole": (boxes.random_box, WHOLE),
    "shapes": (boxes.random_box, {**WHOLE, "box": None, "mask_channel": True}),
}


@pytest.fixture(params=sorted(KINDS))
def model(request):
    return untrained(request.param)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def smooth(height, width):
    y, x = np.mgrid[:height, :width] / 120
    waves = [np.sin(y + 2 * x), np.cos(2 * y), np.sin(x - y)]
    return np.round(127.5 + 90 * np.stack(waves, axis=2)).astype(np.uint8)


@st.composite
def photos_with_masks(draw):
    height, width = draw(st.integers(8, 70)), draw(st.integers(8, 70))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    missing = random.random((height, width)) < draw(st.sampled_from([0.0, 0.01, 0.1]))
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        high, wide = draw(st.integers(1, 30)), draw(st.integers(1, 30))
        missing[top : top + high, left : left + wide] = True
    channels = draw(st.sampled_from([1, 3]))
    return random.integers(0, 256, (height, width, channels), np.uint8), missing


@settings(max_examples=60)
@given(photos_with_masks(), st.sampled_from(sorted(KINDS)))
def test_pixels_that_are_not_missing_are_identical_always(given_, kind):
    photo, missing = given_
    before, mask = photo.copy(), missing.copy()
    try:
        filled, _ = inpaint(untrained(kind), photo, missing)
    except UserError:
        assert missing.all() or not missing.any()  # any other is filled
    else:
        assert filled.shape == photo.shape
        assert filled.dtype == np.uint8
        np.testing.assert_array_equal(filled[~missing], before[~missing])
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(missing, mask)


@settings(max_examples=30)
@given(photos_with_masks(), st.sampled_from(sorted(KINDS)))
def test_what_the_missing_pixels_hold_makes_no_difference(given_, kind):
    photo, missing = given_
    other = np.where(missing[..., None], 255 - photo, photo)
    try:
        filled, _ = inpaint(untrained(kind), photo, missing)
    except UserError:
        with pytest.raises(UserError):
            inpaint(untrained(kind), other, missing)
    else:
        np.testing.assert_array_equal(filled, inpaint(untrained(kind), other, missing)[0])


@pytest.fixture
def _without_blending(monkeypatch):
    monkeypatch.setattr(filling.blending, "membrane", lambda d, known: d * known[..., None])
    monkeypatch.setattr(filling.blending, "feather", lambda fill, *_: fill)


@pytest.mark.usefixtures("_without_blending")
def test_a_hole_as_large_as_the_box_is_what_the_model_predicts_before_blending(model):
    photo, missing = noise(16, 16, 3), np.zeros((16, 16), bool)
    edge = 4 + model.model.geometry.band
    missing[edge : 16 - edge, edge : 16 - edge] = True
    filled, _ = inpaint(model, photo, missing)
    check_is_the_models(model, photo, missing, filled)


@pytest.mark.usefixtures("_without_blending")
@pytest.mark.parametrize("name", ["whole", "shapes"])
def test_a_model_of_whole_images_is_given_the_mask_and_all_other_pixels(name):
    photo, missing = noise(16, 16, 3), np.zeros((16, 16), bool)
    missing[5, 5:9] = missing[5:8, 5] = missing[7, 7] = True
    filled, (crop,) = inpaint(untrained(name), photo, missing)
    assert (crop.scale, crop.top, crop.left) == (1, 0, 0)
    check_is_the_models(untrained(name), photo, missing, filled)


def test_a_hole_too_thin_for_the_model_takes_the_colours_beside_it(monkeypatch):
    """Seen at scale 2, no model pixel of a thin line is missing, and there is nothing to fill."""
    monkeypatch.setattr(filling.holes, "find", lambda *_: [Hole(10, 2, 1, 16)])
    photo, missing = np.full((40, 40, 3), 90, np.uint8), np.zeros((40, 40), bool)
    missing[10, 2:18] = True
    damaged = np.where(missing[..., None], 7, photo).astype(np.uint8)
    filled, (crop,) = inpaint(untrained("whole"), damaged, missing)
    assert crop.scale == 2
    np.testing.assert_array_equal(filled, photo)


def check_is_the_models(model, photo, missing, filled):
    mask = jnp.asarray(missing, jnp.float32)[None, ..., None]
    own = step.fill(model.model, model.variables, jnp.asarray(photo)[None], mask, model.fill_value)
    expected = np.round((np.asarray(own[0]) + 1) * 127.5)
    assert np.abs(filled.astype(float) - expected).max() <= 1
    assert (filled[missing] != photo[missing]).mean() > 0.9


@pytest.mark.parametrize("offset", [0, 40])
@pytest.mark.parametrize(
    "box", [(60, 70, 50, 40), (0, 0, 45, 30), (110, 150, 10, 10), (100, 20, 20, 90)]
)
def test_a_model_that_knows_the_answer_gives_it_back(model, monkeypatch, box, offset):
    """Whatever the scale and the place; a wrong brightness is taken out by the membrane."""
    photo = smooth(120, 160)
    everything = np.ones(photo.shape[:2], bool)
    crops = []
    crop_input = filling.crop_input

    def remember(crop, *rest):
        crops.append(crop)
        return crop_input(crop, *rest)

    def answer(_, inputs):
        latest = crops[-len(inputs) :]
        return np.stack([crop.reduce(photo, everything)[0] + offset for crop in latest])

    monkeypatch.setattr(filling, "crop_input", remember)
    monkeypatch.setattr(filling, "_fills", answer)
    top, left, high, wide = box
    missing = np.zeros(photo.shape[:2], bool)
    missing[top : top + high, left : left + wide] = True
    damaged = np.where(missing[..., None], 0, photo).astype(np.uint8)
    filled, _ = inpaint(model, damaged, missing)
    error = np.abs(filled.astype(float) - photo)[missing]
    # Where nothing is predicted beside the hole, blending costs part of a model pixel's slope; at
    # the photo's edge what is mirrored pulls too.
    geometry = model.model.geometry
    times = 3 if geometry.whole else 1.5 if geometry.band else 1
    times *= 1.5 if top == 0 or top + high == 120 else 1
    assert error.mean() < 2 * times
    assert error.max() < 12 * times


def test_batches_give_what_one_hole_after_the_other_gives(model, monkeypatch):
    photo, missing = noise(64, 80, 3), np.zeros((64, 80), bool)
    for top, left in [(3, 3), (3, 40), (30, 10), (33, 22), (50, 70), (20, 60), (44, 44)]:
        missing[top : top + 9, left : left + 7] = True
    together, crops = inpaint(model, photo, missing)
    assert max(map(len, filling.independent(crops, 8))) > 1
    independent = filling.independent

    def one_by_one(crops, most):
        return ([crop] for batch in independent(crops, most) for crop in batch)

    monkeypatch.setattr(filling, "independent", one_by_one)
    alone, _ = inpaint(model, photo, missing)
    np.testing.assert_array_equal(together, alone)


def test_every_crop_comes_once_and_none_before_a_larger_one_that_it_meets(model):
    missing = np.random.default_rng(0).random((90, 90)) < 0.01
    missing[20:60, 30:60] = missing[70:82, 10:22] = True
    crops = filling.crops_of(ModelWindow.of(model), missing)
    order = [crop for batch in filling.independent(crops, 4) for crop in batch]
    assert sorted(order, key=crops.index) == crops
    place = {crop.hole: i for i, crop in enumerate(order)}
    for i, crop in enumerate(crops):
        for other in crops[:i]:
            if crop.meets(other) and other.scale > crop.scale:
                assert place[other.hole] < place[crop.hole]


def test_grey_photos_are_filled_with_grey(model):
    photo, missing = noise(40, 40, 1), np.zeros((40, 40), bool)
    missing[10:22, 10:22] = True
    filled, (crop,) = inpaint(model, photo, missing)
    assert filled.shape == (40, 40, 1)
    assert crop.side == 12 * 16 / ModelWindow.of(model).box[0]


def test_progress_is_reported(model):
    missing = np.zeros((60, 60), bool)
    missing[5, 5] = missing[50, 50] = True
    told = []
    inpaint(model, noise(60, 60, 3), missing, progress=lambda *now: told.append(now))
    assert told[-1] == (2, 2)


def test_a_models_box_is_where_its_training_masks_were():
    anywhere, inner = range(9), range(1, 10)
    found = {name: ModelWindow.of(untrained(name)) for name in KINDS}
    assert found["center"] == ModelWindow(16, (8, 8), range(4, 5), range(4, 5))
    assert found["random"] == ModelWindow(16, (8, 8), anywhere, anywhere)
    assert found["overlap"] == ModelWindow(16, (6, 6), inner, inner)
    for name in ("whole", "shapes"):  # half of the side, where masks had any shape
        assert found[name] == ModelWindow(16, (8, 8), anywhere, anywhere, whole=True)


@pytest.mark.parametrize("missing", [False, True])
def test_refusals_say_what(model, missing):
    words = "covers the whole photo" if missing else "the mask is empty"
    with pytest.raises(UserError, match=words):
        inpaint(model, noise(40, 90, 3), np.full((40, 90), missing))


LARGE = {
    "wide": (np.s_[:20], 180),
    "all but a row": (np.s_[:39], 180),
    "all but a frame": (np.s_[1:-1, 1:-1], 176),
    "all but a column": (np.s_[:, 1:], 178),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_hole_of_any_size_is_one_crop_at_the_scale_at_which_it_fits(model, name):
    """Also where it needs more of a crop than twice the photo's shorter side."""
    part, side = LARGE[name]
    photo, missing = smooth(40, 90), np.zeros((40, 90), bool)
    missing[part] = True
    damaged = np.where(missing[..., None], 0, photo).astype(np.uint8)
    filled, (crop,) = inpaint(model, damaged, missing)
    assert crop.side >= side * 8 / ModelWindow.of(model).box[0]
    np.testing.assert_array_equal(filled[~missing], photo[~missing])
    np.testing.assert_array_equal(filled, inpaint(model, damaged, missing)[0])
    assert (filled[missing] != 0).mean() > 0.9


@pytest.mark.parametrize("side", [1, 4])
def test_what_is_left_of_a_photo_is_seen_wherever_it_is(model, side):
    """Where it is less than half of any model pixel, or where a model of holes sees nothing."""
    missing = np.ones((60, 60), bool)
    missing[30 : 30 + side, 30 : 30 + side] = False
    photo = np.full((60, 60, 3), 200, np.uint8)
    filled, _ = inpaint(model, np.where(missing[..., None], 0, photo).astype(np.uint8), missing)
    assert (filled[~missing] == 200).all()
    assert np.abs(filled[29:33, 29:33].astype(float) - 200).mean() < 12  # it goes on beside it


def test_a_photo_of_one_pixel_is_refused(model):
    with pytest.raises(UserError, match="nothing is left to see"):
        inpaint(model, noise(1, 1, 3), np.ones((1, 1), bool))
