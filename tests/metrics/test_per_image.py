import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from ctxenc.masks import boxes
from ctxenc.metrics import per_image


@pytest.fixture
def pairs():
    """Smooth random images, fills that differ inside a box only, and the masks."""
    rng = np.random.default_rng(0)
    real = np.cumsum(np.cumsum(rng.normal(size=(4, 32, 32, 3)), axis=1), axis=2)
    real = np.tanh(real / np.abs(real).max() * 2).astype(np.float32)
    mask = boxes.random_box(jax.random.key(3), 4, 32, 32, mask_height=12, mask_width=16)
    noise = rng.normal(scale=0.2, size=real.shape).astype(np.float32)
    filled = np.clip(real + np.asarray(mask) * noise, -1, 1)
    return jnp.asarray(real), jnp.asarray(filled), mask


def test_errors_are_of_the_hole_alone_on_the_unit_scale(pairs):
    real, filled, mask = pairs
    values = per_image.per_image(real, filled, mask)
    for i in range(4):
        missing = np.asarray(mask[i, ..., 0]) > 0
        difference = (np.asarray(real[i])[missing] - np.asarray(filled[i])[missing]) / 2
        mse = np.mean(difference**2)
        assert values["l1"][i] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
        assert values["l2"][i] == pytest.approx(mse, rel=1e-5)
        assert values["psnr"][i] == pytest.approx(-10 * np.log10(mse), rel=1e-5)


def test_ssim_is_scikit_images_map_averaged_over_the_hole(pairs):
    real, filled, mask = pairs
    values = per_image.per_image(real, filled, mask)
    for i in range(4):
        _, full = structural_similarity(
            np.asarray(real[i] + 1, np.float64) / 2,
            np.asarray(filled[i] + 1, np.float64) / 2,
            channel_axis=-1,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        expected = full[np.asarray(mask[i, ..., 0]) > 0].mean()
        assert values["ssim"][i] == pytest.approx(expected, abs=2e-4)


def test_a_perfect_fill():
    real = jnp.linspace(-1, 1, 16 * 16 * 3).reshape(1, 16, 16, 3)
    mask = boxes.center_box(jax.random.key(0), 1, 16, 16, mask_height=8, mask_width=8)
    values = per_image.per_image(real, real, mask)
    assert values["l1"][0] == 0
    assert values["psnr"][0] == 100
    assert values["ssim"][0] == pytest.approx(1, abs=1e-5)


def test_psnr_per_image_and_pooled_are_told_apart():
    values = {name: np.zeros(2) for name in ("l1", "ssim")}
    values |= {"l2": np.array([0.1, 0.001]), "psnr": np.array([10.0, 30.0])}
    summary = per_image.summary(values)
    assert set(summary) == set(per_image.NAMES)
    assert summary["psnr_db"] == 20
    assert summary["psnr_pooled_db"] == pytest.approx(-10 * np.log10(0.0505))
    assert summary["l2_percent"] == pytest.approx(5.05)


def test_the_context_mean_uses_visible_pixels_only():
    real = jnp.zeros((1, 4, 4, 3)).at[:, :2].set(1.0)
    mask = jnp.zeros((1, 4, 4, 1)).at[:, 0].set(1.0)
    filled = per_image.context_mean(real, mask)
    np.testing.assert_allclose(filled[0, 0], 4 / 12)
    np.testing.assert_array_equal(filled[:, 1:], real[:, 1:])
