"""The classical fills against independent definitions, and every baseline's figures on CIFAR-10."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.restoration import inpaint_biharmonic

from ctxenc.baselines import BASELINES, fills, prepared
from ctxenc.baselines.contract import to_float
from ctxenc.baselines.fills import Harmonic, biharmonic
from ctxenc.data.images import MemoryImages

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("CTXENC_REAL_DATA", ROOT.parent / "shared" / "data")) / "tfds"

OF_ANY_HOLE = [name for name in BASELINES if name != "ridge"]


def fill(name, train, hole=None):
    return prepared(BASELINES[name].target, train, hole, lambda done, of: None)


@pytest.fixture
def photos():
    """Smooth noise, so that fills have something to go on."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 20, 24, 3)).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(image, (7, 7), 2) for image in noise])


@pytest.fixture
def holes():
    """In the middle, at a corner, and in two pieces, each of them twice; a frame; thin strokes."""
    missing = np.zeros((8, 20, 24), bool)
    missing[0:6:3, 6:12, 8:15] = True
    missing[1:6:3, :7, :5] = True
    missing[2:6:3, 3:8, 3:8] = True
    missing[2:6:3, 12:20, 10:24] = True
    missing[6] = True
    missing[6, 5:15, 6:18] = False
    missing[7, range(20), range(20)] = missing[7, 10, 12:] = True
    return missing


@pytest.mark.parametrize("name", OF_ANY_HOLE)
def test_a_fill_keeps_what_is_visible_and_never_sees_what_is_missing(photos, holes, name):
    train = MemoryImages(photos[:, :, :20])
    filled = fill(name, train)(photos, holes)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~holes], to_float(photos)[~holes])
    assert (np.abs(filled) <= 1).all()
    other = photos.copy()
    other[holes] = 255 - other[holes]
    np.testing.assert_array_equal(fill(name, train)(other, holes), filled)


def test_the_mean_colour_is_that_of_the_training_images(photos, holes):
    train = MemoryImages(np.full((3, 20, 20, 3), [10, 100, 255], np.uint8))
    filled = fill("mean_colour", train)(photos, holes)
    colour = np.array([10, 100, 255]) / 127.5 - 1
    np.testing.assert_allclose(
        filled[holes], np.broadcast_to(colour, filled[holes].shape), atol=1e-6
    )


def test_the_context_mean_is_of_visible_pixels_only(photos, holes):
    filled = fill("context_mean", MemoryImages(photos[:, :, :20]))(photos, holes)
    for image, hole, found in zip(photos, holes, filled, strict=True):
        colour = (image[~hole] / 127.5 - 1).mean(axis=0)
        np.testing.assert_allclose(
            found[hole], np.broadcast_to(colour, found[hole].shape), atol=1e-5
        )


@pytest.mark.parametrize(
    ("name", "method"), [("telea", cv2.INPAINT_TELEA), ("navier_stokes", cv2.INPAINT_NS)]
)
def test_opencvs_fills_are_opencvs(photos, holes, name, method):
    holes = np.broadcast_to(holes[0], holes.shape)  # off the border: see the fills' own comment
    filled = BASELINES[name].target(photos, holes)
    for image, hole, found in zip(photos, holes, filled, strict=True):
        expected = cv2.inpaint(image, hole.astype(np.uint8), 3, method)
        np.testing.assert_array_equal(np.round((found + 1) * 127.5), expected)


def test_biharmonic_is_scikit_images_one_image_at_a_time(photos, holes):
    filled = biharmonic(photos, holes)
    for image, hole, found in zip(photos, holes, filled, strict=True):
        expected = inpaint_biharmonic(image / 127.5 - 1, hole, channel_axis=-1)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_harmonic_is_the_dense_solution(photos, holes):
    filled = Harmonic()(photos, holes)
    height, width = holes.shape[1:]
    for image, hole, found in zip(photos, holes, filled, strict=True):
        real = image / 127.5 - 1
        places = list(zip(*hole.nonzero(), strict=True))
        number = {place: i for i, place in enumerate(places)}
        matrix, right = np.zeros((len(places), len(places))), np.zeros((len(places), 3))
        for (y, x), i in number.items():
            for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= place[0] < height and 0 <= place[1] < width:
                    matrix[i, i] += 1
                    if place in number:
                        matrix[i, number[place]] -= 1
                    else:
                        right[i] += real[place]
        np.testing.assert_allclose(found[hole], np.linalg.solve(matrix, right), atol=1e-5)


@pytest.mark.parametrize("fill", [Harmonic(), biharmonic])
def test_smooth_fills_continue_an_even_slope_exactly(fill):
    y, x = np.mgrid[:16, :16]
    image = np.stack([10 + 5 * x + 3 * y, 200 - 4 * x, 20 + 7 * y], axis=-1).astype(np.uint8)
    hole = np.zeros((1, 16, 16), bool)
    hole[0, 4:12, 5:11] = True
    np.testing.assert_allclose(fill(image[None], hole)[0], image / 127.5 - 1, atol=1e-5)


def test_many_images_of_one_hole_are_filled_as_each_alone(photos, holes):
    many = np.concatenate([photos] * 20)
    one = np.broadcast_to(holes[2], many.shape[:3])
    together = Harmonic()(many, one)
    for image, found in zip(photos, together, strict=False):
        alone = Harmonic()(image[None], one[:1])[0]
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_once_a_hole_has_come_often_it_is_filled_by_a_matrix_and_the_same(photos, holes):
    fill, first = Harmonic(), Harmonic()(photos[:1], holes[:1])
    filled = [fill(photos[:1], holes[:1]) for _ in range(20)]
    (system,) = fill._systems.values()
    assert "_matrix" in vars(system)
    np.testing.assert_array_equal(filled[0], first)
    np.testing.assert_allclose(filled[-1], first, atol=1e-6)


def test_a_matrix_that_would_be_huge_is_not_made(photos, holes, monkeypatch):
    expected = Harmonic()(photos[:1], holes[:1])
    monkeypatch.setattr(fills, "_MOST_OF_MATRIX", 10)
    fill = Harmonic()
    filled = [fill(photos[:1], holes[:1]) for _ in range(20)]
    (system,) = fill._systems.values()
    assert "_matrix" not in vars(system)
    np.testing.assert_array_equal(filled[-1], expected)


def test_more_holes_than_are_kept_are_filled_the_same(photos, holes, monkeypatch):
    expected = Harmonic()(photos, holes)
    monkeypatch.setattr(fills, "_KEPT", 100)
    np.testing.assert_array_equal(Harmonic()(photos, holes), expected)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs CIFAR-10: set CTXENC_REAL_DATA")
@pytest.mark.parametrize(
    ("name", "l1", "l2", "psnr", "within"),
    [
        ("context_mean", 19.21, 5.94, 13.29, 0.006),
        ("navier_stokes", 13.24, 3.48, 15.58, 0.006),
        ("telea", 13.20, 3.46, 15.60, 0.006),
        ("harmonic", 12.91, 3.05, 16.14, 0.006),
        ("ridge", 11.77, 2.54, 16.81, 0.1),
    ],
)
def test_the_figures_of_the_whole_test_split_of_cifar10(name, l1, l2, psnr, within):
    """Measured before this package was, on the same copy, by other code."""
    from ctxenc.data.cifar10 import cifar10
    from ctxenc.data.images import in_memory

    dataset = cifar10(image_size=32, data_dir=str(REAL), classes=None)
    images = in_memory(dataset.test).array
    missing = np.zeros(images.shape[:3], bool)
    missing[:, 8:24, 8:24] = True
    filled = fill(name, in_memory(dataset.train), missing[0])(images, missing)
    difference = ((filled - to_float(images)) / 2)[missing].reshape(len(images), -1)
    mse = np.mean(np.square(difference, dtype=np.float64), axis=1)
    assert 100 * np.abs(difference).mean() == pytest.approx(l1, abs=within)
    assert 100 * mse.mean() == pytest.approx(l2, abs=within)
    assert np.mean(-10 * np.log10(mse)) == pytest.approx(psnr, abs=within)
