import numpy as np
import pytest
from scipy import ndimage, stats

from ctxenc.metrics import sliced_wasserstein
from ctxenc.metrics.sliced_wasserstein import SlicedWasserstein, distances, patches, pyramid

pytestmark = pytest.mark.usefixtures("in_full")


@pytest.fixture
def texture():
    return np.random.default_rng(0).normal(size=(40, 16, 16, 3)).astype(np.float32)


def blurred(images, sigma=1.0):
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="mirror")


def test_the_pyramid_is_burt_and_adelsons(texture):
    fine, coarse = pyramid(texture)
    assert (fine.shape[1:3], coarse.shape[1:3]) == ((16, 16), (8, 8))
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])[None, :, :, None] / 256
    half = ndimage.convolve(texture.astype(float), kernel, mode="mirror")[:, ::2, ::2]
    np.testing.assert_allclose(coarse, half, atol=1e-5)
    spread = np.zeros(texture.shape)
    spread[:, ::2, ::2] = half
    back = ndimage.convolve(spread, 4 * kernel, mode="mirror")
    np.testing.assert_allclose(fine, texture - back, atol=1e-5)


def cut_at_random(level, per_image):
    (places,) = sliced_wasserstein._places(0, len(level), per_image, (level.shape[1:3],))
    return patches(level, places)


@pytest.mark.parametrize(
    ("size", "levels"), [((5, 9), 1), ((8, 8), 1), ((16, 16), 2), ((64, 30), 3), ((15, 40), 2)]
)
def test_a_pyramid_has_as_many_levels_as_fit(size, levels):
    images = np.random.default_rng(0).normal(size=(3, *size, 3)).astype(np.float32)
    found = pyramid(images)
    assert len(found) == levels
    cut = cut_at_random(found[-1], 2)
    assert cut.shape == (6, min(7, *found[-1].shape[1:3]) ** 2, 3)


def test_patches_are_pieces_of_their_own_image(texture):
    number = np.arange(40 * 16 * 16 * 3, dtype=np.float32).reshape(40, 16, 16, 3)
    cut = cut_at_random(number, 5).reshape(40, 5, 7, 7, 3)
    for image in range(40):
        for patch in cut[image]:
            y, x = np.argwhere(number[image, ..., 0] == patch[0, 0, 0])[0]
            np.testing.assert_array_equal(patch, number[image, y : y + 7, x : x + 7])
    corners = cut[:, :, 0, 0, 0] - number[:, None, 0, 0, 0]
    assert len(np.unique(corners)) > 60  # of a hundred places, two hundred times drawn


def points(count, seed, scale=1.0, shift=0.0):
    drawn = np.random.default_rng(seed).normal(shift, scale, (count, 9, 3))
    return drawn.astype(np.float32)


def test_the_distance_is_the_mean_earth_movers_distance_of_projections(monkeypatch):
    monkeypatch.setattr(sliced_wasserstein, "DIRECTIONS", 100)
    real, fake = points(300, 0), points(300, 1, scale=1.7, shift=0.4)
    (found,) = distances(real, [fake])
    mean, deviation = real.mean((0, 1)), real.std((0, 1))
    a, b = (((s - mean) / deviation).reshape(300, -1) for s in (real, fake))
    axes = np.random.default_rng(0).standard_normal((100, 27))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    each = [stats.wasserstein_distance(a @ axis, b @ axis) for axis in axes]
    assert found == pytest.approx(1000 * np.mean(each), rel=1e-3)


def test_the_distance_tells_what_it_should():
    real = points(4000, 0)
    shuffled = np.random.default_rng(1).permutation(real)
    flat, brighter = np.zeros_like(real), real + 0.3
    same, shuffled, another_draw, flatter, flat, brighter = distances(
        real, [real, shuffled, points(4000, 1), 0.8 * real, flat, brighter]
    )
    assert same == 0
    assert shuffled == pytest.approx(0, abs=1e-3)
    assert another_draw < 40 < flatter < flat
    assert brighter > 2 * another_draw
    # A unit normal's mean distance from zero, along every direction.
    assert flat == pytest.approx(1000 * np.sqrt(2 / np.pi), rel=0.03)


def test_blur_is_further_from_the_real_holes_than_another_real_image(texture):
    def finest(images):
        return cut_at_random(pyramid(images)[0], 8)

    other, blurry, blurrier = texture[::-1], blurred(texture, 0.5), blurred(texture)
    found = distances(finest(texture), [finest(other), finest(blurry), finest(blurrier)])
    assert found == sorted(found)


def gathered(real, rows, batch=12):
    """`rows` by name: fills of all or of the first real images."""
    distances = SlicedWasserstein(len(real))
    for start in range(0, len(real), batch):
        part = slice(start, start + batch)
        distances.look("real", start, real[part], len(real))
        for name, fills in rows.items():
            padded = np.resize(fills, real.shape)[part]
            if (count := min(batch, len(fills) - start)) > 0:
                distances.look(name, start, padded, count)
    return {name: figures["swd"] for name, figures in distances.figures().items()}


def test_rows_are_measured_at_the_same_places_and_of_as_many_images_as_they_have(texture):
    flat = np.zeros_like(texture)
    found = gathered(texture, {"same": texture, "flat": flat, "few": texture[:20]})
    assert found["same"]["levels"] == [0, 0]
    assert found["few"] == {"mean": 0, "levels": [0, 0], "images": 20}
    assert found["flat"]["images"] == 40
    assert found["flat"]["mean"] == pytest.approx(np.mean(found["flat"]["levels"]))
    assert found["flat"]["mean"] > 100


@pytest.mark.parametrize("most", [10_000, 50])
def test_the_batch_size_changes_nothing(monkeypatch, most):
    monkeypatch.setattr(sliced_wasserstein, "MOST_IMAGES", most)
    monkeypatch.setattr(sliced_wasserstein, "PATCHES", 1000)
    real = np.random.default_rng(0).normal(size=(150, 16, 16, 3)).astype(np.float32)
    rows = {"blurred": blurred(real), "few": blurred(real)[:70]}
    found = {batch: gathered(real, rows, batch) for batch in (7, 64, 100, 150)}
    assert all(figures == found[64] for figures in found.values())


def test_of_many_images_evenly_spread_ones_are_used(texture, monkeypatch):
    monkeypatch.setattr(sliced_wasserstein, "MOST_IMAGES", 7)
    monkeypatch.setattr(sliced_wasserstein, "PATCHES", 21)
    fills = texture.copy()
    fills[::6] = 0  # a sixth of the images, and all that are looked at
    found = gathered(texture, {"model": fills}, batch=5)  # some batches have none of them
    assert found["model"] == gathered(texture, {"model": np.zeros_like(texture)}, batch=5)["model"]
    assert found["model"]["images"] == 7
