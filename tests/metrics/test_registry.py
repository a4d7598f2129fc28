import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from ctxenc import metrics
from ctxenc.masks import boxes
from ctxenc.metrics import registry
from ctxenc.metrics.registry import METRICS, Metric


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


def measured(real, filled, mask):
    return metrics.per_image(real, filled, mask, registry.measured_in_training())


def test_errors_are_of_the_hole_alone_on_the_unit_scale(pairs):
    real, filled, mask = pairs
    values = measured(real, filled, mask)
    for i in range(4):
        missing = np.asarray(mask[i, ..., 0]) > 0
        difference = (np.asarray(real[i])[missing] - np.asarray(filled[i])[missing]) / 2
        mse = np.mean(difference**2)
        assert values["l1"][i] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
        assert values["l2"][i] == pytest.approx(mse, rel=1e-5)
        assert values["psnr"][i] == pytest.approx(-10 * np.log10(mse), rel=1e-5)


def test_ssim_is_scikit_images_map_averaged_over_the_hole(pairs):
    real, filled, mask = pairs
    values = measured(real, filled, mask)
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
    values = measured(real, real, mask)
    assert values["l1"][0] == 0
    assert values["psnr"][0] == 100
    assert values["ssim"][0] == pytest.approx(1, abs=1e-5)


def test_psnr_per_image_and_pooled_are_told_apart():
    values = {"l2": np.array([0.1, 0.001]), "psnr": np.array([10.0, 30.0])}
    summary = metrics.summary(values)
    assert set(summary) == {"psnr_db", "psnr_pooled_db", "l2_percent"}
    assert summary["psnr_db"] == 20
    assert summary["psnr_pooled_db"] == pytest.approx(-10 * np.log10(0.0505))
    assert summary["l2_percent"] == pytest.approx(5.05)


def test_training_measures_some_and_an_evaluation_all(pairs, monkeypatch):
    edge = registry.Metric("edge", "", 2, "lower", {"edge": registry.l1})
    monkeypatch.setitem(METRICS, "edge", edge)
    quick = measured(*pairs)
    every = metrics.per_image(*pairs, tuple(METRICS))
    assert set(metrics.summary(quick)) == set(registry.measured_in_training())
    columns = {column for metric in METRICS.values() for column in metric.per_image}
    assert set(every) == columns
    assert set(every) - set(quick) == {"edge"}
    ratio = np.mean(every["gradient"]) / np.mean(every["real_gradient"])
    assert metrics.summary(every)["sharpness"] == pytest.approx(ratio)


def test_an_image_without_a_value_is_left_out_of_the_mean():
    thin = {"gradient": np.array([1.0, np.nan, 3.0]), "real_gradient": np.array([2.0, np.nan, 6.0])}
    assert metrics.summary(thin) == {"sharpness": 0.5}
    assert metrics.summary(dict.fromkeys(thin, np.full(3, np.nan))) == {}


def brightness(real, filled, mask):
    return (filled * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))


def test_a_new_metric_is_one_entry(pairs, monkeypatch):
    entry = Metric("brightness", "", 2, "higher", {"bright": brightness}, when="training")
    monkeypatch.setitem(METRICS, "brightness", entry)
    values = measured(*pairs)
    _, filled, mask = map(np.asarray, pairs)
    expected = [
        (image[m[..., 0] > 0] + 1).mean() / 2 for image, m in zip(filled, mask, strict=True)
    ]
    np.testing.assert_allclose(values["bright"], expected, rtol=1e-5)
    assert metrics.summary(values)["brightness"] == pytest.approx(np.mean(expected))
    assert "brightness" in registry.measured_in_training()


def test_which_values_are_better():
    def ordered(name, *values):
        return sorted(values, key=METRICS[name].badness)

    assert ordered("psnr_db", 14.0, 17.5, 15.0) == [17.5, 15.0, 14.0]
    assert ordered("l1_percent", 14.0, 17.5, 15.0) == [14.0, 15.0, 17.5]
    assert ordered("sharpness", 0.4, 1.9, 1.1) == [1.1, 0.4, 1.9]
    assert METRICS["ssim"].shown(0.12345) == "0.123"
    assert METRICS["psnr_db"].heading == "PSNR dB"
    assert METRICS["ssim"].heading == "SSIM"


def test_the_tables_of_finished_runs_need_no_jax():
    code = (
        "import sys, ctxenc.metrics, ctxenc.baselines; "
        "sys.exit(any(name in sys.modules for name in ('jax', 'scipy', 'skimage')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
