"""A trained model as Python takes it."""

import contextlib

import jax.numpy as jnp
import numpy as np
import pytest

import ctxenc
from ctxenc import features, masks
from ctxenc.inpainting.filling import inpaint
from tests.tiny import TINY

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (50, 70, 3), np.uint8)
MISSING = np.zeros((50, 70), bool)
MISSING[10:22, 20:36] = True


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("run")):
        return ctxenc.load(ctxenc.run(*TINY, "mask=random", "max_steps=2").path)


LARGE = np.zeros((50, 70), bool)
LARGE[:, 4:] = True


@pytest.mark.parametrize("missing", [MISSING, LARGE], ids=["small", "large"])
def test_it_fills_as_the_program_does_and_nothing_else(painter, missing):
    expected, _ = inpaint(painter.trained, PHOTO, missing)
    filled = painter.fill(PHOTO, missing)
    np.testing.assert_array_equal(filled, expected)
    np.testing.assert_array_equal(filled[~missing], PHOTO[~missing])
    assert (filled[missing] != PHOTO[missing]).mean() > 0.9
    np.testing.assert_array_equal(painter.fill(PHOTO, missing.astype(float)), expected)


def test_floats_keep_their_type_and_what_is_there(painter):
    photo = RANDOM.random((50, 70, 3), np.float32)
    filled = painter.fill(photo, MISSING)
    assert (filled.dtype, filled.shape) == (np.float32, photo.shape)
    np.testing.assert_array_equal(filled[~MISSING], photo[~MISSING])
    levels = painter.fill(np.round(photo * 255).astype(np.uint8), MISSING)
    np.testing.assert_allclose(filled[MISSING] * 255, levels[MISSING], atol=1e-4)


def test_grey_images_stay_grey(painter):
    filled = painter.fill(PHOTO[..., 0], MISSING)
    assert (filled.dtype, filled.shape) == (np.uint8, (50, 70))
    assert painter.fill(PHOTO[..., :1], MISSING).shape == (50, 70, 1)


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (PHOTO, MISSING[:9], r"mask: expected \(50, 70\), as the image has, got \(9, 70\)"),
        (PHOTO, MISSING * 255, "mask: expected True or 1 where a pixel is missing"),
        (PHOTO / 1.0, MISSING, "image: expected floats from 0 to 1, or whole numbers"),
        (PHOTO[..., :2], MISSING, r"image: expected \(height, width\) or"),
        (PHOTO, ~MISSING | MISSING, "covers the whole photo"),
        (PHOTO, MISSING & ~MISSING, "the mask is empty"),
    ],
    ids=["shape", "255", "range", "channels", "all", "none"],
)
def test_what_cannot_be_filled_is_a_user_error(painter, image, mask, message):
    with pytest.raises(ctxenc.UserError, match=message):
        painter.fill(image, mask)


def test_features_are_the_stages_maps_of_images_of_any_size(painter):
    grey, floats = PHOTO[..., 0], PHOTO[:30, :40] / 255
    found = painter.features([PHOTO, grey, floats])
    assert list(found) == ["conv1", "conv2"]
    assert found["conv2"].shape == (3, 4, 4, 8)
    np.testing.assert_allclose(painter.features([PHOTO], "conv1"), found["conv1"][:1], atol=1e-5)
    own = RANDOM.integers(0, 256, (2, 16, 16, 3), np.uint8)
    trained = painter.trained
    seen = masks.to_float(jnp.asarray(own))
    expected = features.stages(trained.model, trained.variables, seen)["conv1"]
    np.testing.assert_allclose(painter.features(own, "conv1"), expected, atol=1e-5)


def test_an_unknown_stage_is_one_line(painter):
    with pytest.raises(ctxenc.UserError, match="stage=conv9: no such stage; expected one of conv1"):
        painter.features([PHOTO], "conv9")
