import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from ctxenc.metrics import registry


@pytest.fixture
def texture():
    return np.random.default_rng(0).normal(size=(40, 16, 16, 3)).astype(np.float32)


def blurred(images, sigma=1.0):
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="mirror")


def gradient(images, mask):
    real = jnp.full(images.shape, jnp.nan)  # which is not looked at
    return np.asarray(registry.gradient(real, jnp.asarray(images), jnp.asarray(mask)))


@pytest.fixture
def mask():
    mask = np.zeros((40, 16, 16, 1), np.float32)
    mask[:, 4:12, 5:14] = 1
    return mask


def test_the_gradient_of_a_slope_is_its_steepness(mask):
    y, x = np.mgrid[:16, :16]
    slope = np.broadcast_to((0.03 * x + 0.04 * y)[None, ..., None], (40, 16, 16, 3))
    np.testing.assert_allclose(gradient(slope, mask), 0.05, rtol=1e-4)


def test_the_gradient_is_of_differences_within_the_hole_alone(texture, mask):
    expected = []
    for image in texture:
        found = [
            np.hypot(image[y + 1, x] - image[y, x], image[y, x + 1] - image[y, x])
            for y in range(4, 11)
            for x in range(5, 13)
        ]
        expected.append(np.mean(found))
    np.testing.assert_allclose(gradient(texture, mask), expected, rtol=1e-5)
    outside = np.where(mask > 0, texture, 9.0)
    np.testing.assert_array_equal(gradient(outside, mask), gradient(texture, mask))


def test_a_blurred_fill_is_less_sharp_and_a_flat_one_not_at_all(texture, mask):
    ratio = gradient(blurred(texture), mask).mean() / gradient(texture, mask).mean()
    assert 0.05 < ratio < 0.5
    np.testing.assert_array_equal(gradient(np.ones_like(texture), mask), 0)


def test_a_hole_one_pixel_wide_has_no_gradient(texture):
    thin = np.zeros((40, 16, 16, 1), np.float32)
    thin[:, 3:9, 7] = 1
    assert np.isnan(gradient(texture, thin)).all()
