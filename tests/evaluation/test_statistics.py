import numpy as np
import pytest

from ctxenc.evaluation.statistics import sentence, standing
from ctxenc.metrics.registry import METRICS, Metric


def columns(l2, gradient=0.5):
    l2 = np.asarray(l2)
    return {
        "l1": np.sqrt(l2),
        "l2": l2,
        "psnr": -10 * np.log10(l2),
        "ssim": 1 - l2,
        "gradient": np.full(len(l2), gradient),
        "real_gradient": np.full(len(l2), 1.0),
    }


def first(count, columns):
    """Of a method that is measured on the first images only."""
    there = np.arange(400) < count
    return {name: np.where(there, values, np.nan) for name, values in columns.items()}


@pytest.fixture
def errors():
    return np.random.default_rng(0).uniform(0.01, 0.1, 400)


def test_figures_follow_from_the_columns_and_have_intervals(errors):
    figures = standing({"model": columns(errors)})[0]["model"]
    assert figures["psnr_db"]["mean"] == pytest.approx(np.mean(-10 * np.log10(errors)))
    assert figures["psnr_pooled_db"]["mean"] == pytest.approx(-10 * np.log10(errors.mean()))
    assert figures["l1_percent"]["mean"] == pytest.approx(100 * np.sqrt(errors).mean())
    assert figures["l2_percent"]["mean"] == pytest.approx(100 * errors.mean())
    assert figures["ssim"]["mean"] == pytest.approx(1 - errors.mean())
    assert figures["sharpness"]["mean"] == pytest.approx(0.5)
    for figure in figures.values():
        assert figure["low"] <= figure["mean"] <= figure["high"]
        assert figure["images"] == 400
    pooled = figures["psnr_pooled_db"]
    assert pooled["low"] < pooled["mean"] < pooled["high"]


def test_the_lead_is_paired(errors):
    """Half the squared error everywhere is 3.01 dB everywhere, however much images differ."""
    figures, best, lead = standing({"model": columns(errors / 2), "ridge": columns(errors)})
    assert best == "ridge"
    for figure in (lead["psnr_db"], lead["psnr_pooled_db"]):
        for bound in ("mean", "low", "high"):
            assert figure[bound] == pytest.approx(10 * np.log10(2))
    alone = figures["model"]["psnr_db"]
    assert alone["high"] - alone["low"] > 0.3


def test_the_best_baseline_is_one_that_was_measured_on_all_images(errors):
    rows = {
        "model": columns(errors),
        "telea": columns(errors * 1.1),
        "harmonic": columns(errors * 1.05),
        "biharmonic": first(50, columns(errors * 0.1)),
        "ridge": first(1, columns(errors * 0.1)),
    }
    figures, best, _ = standing(rows)
    assert best == "harmonic"
    assert figures["ridge"] == {}  # a resample may not have its one image
    few = figures["biharmonic"]
    assert few["psnr_db"]["images"] == few["sharpness"]["images"] == 50
    assert few["psnr_db"]["mean"] == pytest.approx(np.mean(-10 * np.log10(errors[:50] * 0.1)))
    assert few["psnr_db"]["low"] < few["psnr_db"]["mean"] < few["psnr_db"]["high"]
    assert standing({"model": columns(errors)})[1:] == (None, {})


def test_a_new_metric_has_a_figure_and_a_lead(errors, monkeypatch):
    worst = Metric("spread", "", 2, "lower", {"spread": lambda *_: None}, lambda mean: mean + 1)
    monkeypatch.setitem(METRICS, "spread", worst)
    rows = {"model": {**columns(errors), "spread": errors}, "telea": columns(errors)}
    figures, best, lead = standing(rows)
    assert best == "telea"
    assert figures["model"]["spread"]["mean"] == pytest.approx(1 + errors.mean())
    assert "spread" not in figures["telea"]
    assert "spread" not in lead
    rows["telea"]["spread"] = errors - 0.5
    assert standing(rows)[2]["spread"]["mean"] == pytest.approx(0.5)


def test_the_verdict_says_whether_the_model_wins_loses_or_neither(errors):
    noise = np.random.default_rng(1).uniform(0.5, 2, len(errors))
    ridge = columns(errors * noise / noise.mean())

    def said(model, images=400, ridge=ridge):
        return sentence(*standing({"model": columns(model), "ridge": ridge})[1:], images)

    assert said(errors * 0.5).startswith("the model beats ridge by 2.7")
    assert said(errors * 2).startswith("the model loses to ridge by ")
    assert "-" not in said(errors * 2)
    same = columns(np.random.default_rng(2).permutation(errors))
    assert said(errors, 10, same).startswith("the model cannot be told from ridge: +0.00 dB")
    assert "9 test images are too few" in said(errors, 9, same)
    assert "no baseline" in sentence(None, {}, 10)


def test_an_interval_that_touches_zero_is_no_win():
    def said(low, high):
        return sentence("telea", {"psnr_db": {"mean": 0.1, "low": low, "high": high}}, 10)

    assert said(0.02, 0.2) == "the model beats Telea by 0.10 dB (95 % interval 0.02 to 0.20)"
    assert "cannot be told" in said(0.0, 0.2)
    assert "cannot be told" in said(-0.2, 0.0)


def test_sharpness_is_of_the_images_that_have_gradients(errors):
    """Strokes one pixel wide have none; they count in everything else."""
    thick = columns(errors[:300], gradient=0.5)
    mixed = {k: np.append(v, columns(errors[300:])[k]) for k, v in thick.items()}
    mixed["gradient"][300:] = mixed["real_gradient"][300:] = np.nan
    figures = standing({"model": mixed})[0]["model"]
    assert figures["sharpness"]["mean"] == pytest.approx(0.5)
    assert figures["sharpness"]["images"] == 300
    assert figures["psnr_db"]["images"] == 400
    assert np.isfinite([figures["sharpness"]["low"], figures["sharpness"]["high"]]).all()
    mixed["gradient"][2:] = np.nan  # a resample may draw neither of two
    assert "sharpness" not in standing({"model": mixed})[0]["model"]


def test_a_hole_one_pixel_wide_has_no_sharpness(errors):
    thin = columns(errors, gradient=np.nan)
    figures, best, lead = standing({"model": thin, "ridge": thin})
    assert best == "ridge"
    assert "sharpness" not in figures["model"] | figures["ridge"] | lead
