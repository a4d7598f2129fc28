"""What is asked of a baseline, the user's own among them, and what is said where it is not so."""

import numpy as np
import pytest

from ctxenc.baselines import BASELINES, prepared, title
from ctxenc.baselines.contract import to_float
from ctxenc.data.images import MemoryImages
from ctxenc.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
MISSING = np.zeros((4, 8, 8), bool)
MISSING[:, 2:5, 3:6] = True


def run(baseline):
    fill = prepared(baseline, MemoryImages(IMAGES), MISSING[0], lambda done, of: None)
    return fill(IMAGES, MISSING)


def grey(images, missing):
    return np.where(missing[..., None], 0.0, images / 127.5 - 1)  # float64


class Grey:
    def __call__(self, images, missing):
        return grey(images, missing)


class Fitted:
    def fit(self, train, hole, progress):
        assert hole.any()
        assert len(train) == 4
        progress(4, 4)
        return grey


@pytest.mark.parametrize("baseline", [grey, Grey, Grey(), Fitted, Fitted()])
def test_a_function_an_object_and_a_class_are_baselines(baseline):
    filled = run(baseline)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~MISSING], to_float(IMAGES)[~MISSING])
    np.testing.assert_array_equal(filled[MISSING], 0)


class Bounded(Grey):
    def __init__(self, at_most):
        self.at_most = at_most


class Fitless:
    def fit(self, train):
        return grey


BAD = {
    "returned float64 of shape (8, 8, 3)": lambda images, missing: grey(images, missing)[0],
    "returned uint8 of shape (4, 8, 8, 3)": lambda images, missing: images,
    "returned list; expected float32": lambda images, missing: [1, 2],
    "returned NoneType; expected float32": lambda images, missing: None,
    "changed visible pixels": lambda images, missing: np.zeros(images.shape),
    "infinite values or NaN": lambda images, missing: grey(images, missing) / MISSING[..., None],
    "expected a function of (images, missing)": lambda images: images,
    "or return one from fit(train, hole, progress)": object,
    "a class made without arguments": Bounded,
    "whose objects are such functions": Fitless,
}


@pytest.mark.parametrize("words", BAD)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_is_no_baseline_is_told_in_one_line(words):
    with pytest.raises(UserError) as told:
        run(BAD[words])
    assert words in str(told.value)
    assert "expected" in str(told.value)
    assert "\n" not in str(told.value)


def test_every_row_of_an_evaluation_has_a_title():
    assert title("navier_stokes") == "Navier-Stokes"
    assert title("model") == "model"
    assert title("mypackage.fills.nearest_pixel") == "nearest pixel"
    assert len({title(name) for name in BASELINES}) == len(BASELINES)
