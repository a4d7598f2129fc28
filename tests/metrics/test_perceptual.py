import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from ctxenc.metrics import perceptual


@pytest.fixture
def texture():
    return np.random.default_rng(0).normal(size=(40, 16, 16, 3)).astype(np.float32)


def blurred(images, sigma=1.0):
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="mirror")


def gradient(images, mask):
    return np.asarray(perceptual.gradient_magnitude(jnp.asarray(images), jnp.asarray(mask)))


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


def test_the_pyramid_is_burt_and_adelsons(texture):
    fine, coarse = perceptual.pyramid(texture)
    assert (fine.shape[1:3], coarse.shape[1:3]) == ((16, 16), (8, 8))
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])[None, :, :, None] / 256
    half = ndimage.convolve(texture.astype(float), kernel, mode="mirror")[:, ::2, ::2]
    np.testing.assert_allclose(coarse, half, atol=1e-5)
    spread = np.zeros(texture.shape)
    spread[:, ::2, ::2] = half
    back = ndimage.convolve(spread, 4 * kernel, mode="mirror")
    np.testing.assert_allclose(fine, texture - back, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "levels"), [((5, 9), 1), ((8, 8), 1), ((16, 16), 2), ((64, 30), 3), ((15, 40), 2)]
)
def test_a_pyramid_has_as_many_levels_as_fit(size, levels):
    images = np.random.default_rng(0).normal(size=(3, *size, 3)).astype(np.float32)
    pyramid = perceptual.pyramid(images)
    assert len(pyramid) == levels
    cut = perceptual.patches(pyramid[-1], 2, np.random.default_rng(0))
    assert cut.shape == (6, min(7, *pyramid[-1].shape[1:3]) ** 2, 3)


def test_patches_are_pieces_of_their_own_image(texture):
    number = np.arange(40 * 16 * 16 * 3, dtype=np.float32).reshape(40, 16, 16, 3)
    cut = perceptual.patches(number, 5, np.random.default_rng(0)).reshape(40, 5, 7, 7, 3)
    for image in range(40):
        for patch in cut[image]:
            y, x = np.argwhere(number[image, ..., 0] == patch[0, 0, 0])[0]
            np.testing.assert_array_equal(patch, number[image, y : y + 7, x : x + 7])
    corners = cut[:, :, 0, 0, 0] - number[:, None, 0, 0, 0]
    assert len(np.unique(corners)) > 60  # of a hundred places, two hundred times drawn


def points(count, seed, scale=1.0, shift=0.0):
    drawn = np.random.default_rng(seed).normal(shift, scale, (count, 9, 3))
    return drawn.astype(np.float32)


def test_the_distance_is_the_mean_earth_movers_distance_of_projections():
    real, fake = points(300, 0), points(300, 1, scale=1.7, shift=0.4)
    found = perceptual.Sliced(real, directions=100, seed=5).to(fake)
    mean, deviation = real.mean((0, 1)), real.std((0, 1))
    a, b = (((s - mean) / deviation).reshape(300, -1) for s in (real, fake))
    axes = np.random.default_rng(5).standard_normal((100, 27))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    each = [stats.wasserstein_distance(a @ axis, b @ axis) for axis in axes]
    assert found == pytest.approx(1000 * np.mean(each), rel=1e-3)


def test_the_distance_tells_what_it_should():
    real = points(4000, 0)
    assert perceptual.Sliced(real).to(real) == 0
    shuffled = np.random.default_rng(1).permutation(real)
    assert perceptual.Sliced(real).to(shuffled) == pytest.approx(0, abs=1e-3)
    another_draw = perceptual.Sliced(real).to(points(4000, 1))
    flatter = perceptual.Sliced(real).to(0.8 * real)
    flat = perceptual.Sliced(real).to(np.zeros_like(real))
    brighter = perceptual.Sliced(real).to(real + 0.3)
    assert another_draw < 40 < flatter < flat
    assert brighter > 2 * another_draw
    # A unit normal's mean distance from zero, along every direction.
    assert flat == pytest.approx(1000 * np.sqrt(2 / np.pi), rel=0.03)


def test_blur_is_further_from_the_real_holes_than_another_real_image(texture):
    def finest(images):
        return perceptual.patches(perceptual.pyramid(images)[0], 8, np.random.default_rng(0))

    def distance(images):
        return perceptual.Sliced(finest(texture)).to(finest(images))

    assert distance(texture[::-1]) < distance(blurred(texture, 0.5)) < distance(blurred(texture))
