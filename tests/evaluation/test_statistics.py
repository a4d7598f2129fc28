import numpy as np
import pytest

from ctxenc.evaluation.statistics import Standing, sentence
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


def test_figures_are_of_the_contract(errors):
    figures = Standing({"model": columns(errors)}).figures("model")
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
    standing = Standing({"model": columns(errors / 2), "ridge": columns(errors)})
    lead = standing.lead("ridge")
    for figure in (lead["psnr_db"], lead["psnr_pooled_db"]):
        for bound in ("mean", "low", "high"):
            assert figure[bound] == pytest.approx(10 * np.log10(2))
    alone = standing.figures("model")["psnr_db"]
    assert alone["high"] - alone["low"] > 0.3


def test_the_best_baseline_is_of_all_images(errors):
    rows = {
        "model": columns(errors),
        "telea": columns(errors * 1.1),
        "harmonic": columns(errors * 1.05),
        "biharmonic": first(50, columns(errors * 0.1)),
    }
    standing = Standing(rows)
    assert standing.best_baseline == "harmonic"
    few = standing.figures("biharmonic")
    assert few["psnr_db"]["images"] == few["sharpness"]["images"] == 50
    assert few["psnr_db"]["mean"] == pytest.approx(np.mean(-10 * np.log10(errors[:50] * 0.1)))
    assert few["psnr_db"]["low"] < few["psnr_db"]["mean"] < few["psnr_db"]["high"]
    assert Standing({"model": columns(errors)}).best_baseline is None


def test_a_new_metric_has_a_figure_and_a_lead(errors, monkeypatch):
    worst = Metric("spread", "", 2, "lower", {"spread": lambda *_: None}, lambda mean: mean + 1)
    monkeypatch.setitem(METRICS, "spread", worst)
    rows = {"model": {**columns(errors), "spread": errors}, "telea": columns(errors)}
    standing = Standing(rows)
    assert standing.figures("model")["spread"]["mean"] == pytest.approx(1 + errors.mean())
    assert "spread" not in standing.figures("telea")
    assert "spread" not in standing.lead("telea")
    rows["telea"]["spread"] = errors - 0.5
    assert Standing(rows).lead("telea")["spread"]["mean"] == pytest.approx(0.5)


def test_the_verdict_is_told_plainly(errors):
    noise = np.random.default_rng(1).uniform(0.5, 2, len(errors))
    said = {
        factor: sentence(
            "ridge",
            Standing(
                {"model": columns(errors * factor), "ridge": columns(errors * noise / noise.mean())}
            ).lead("ridge"),
            len(errors),
        )
        for factor in (0.5, 2)
    }
    assert said[0.5].startswith("the model beats ridge by 2.7")
    assert said[2].startswith("the model loses to ridge by ")
    assert "-" not in said[2]
    same = np.random.default_rng(2).permutation(errors)
    close = Standing({"model": columns(errors), "ridge": columns(same)}).lead("ridge")
    assert sentence("ridge", close, 10).startswith("the model cannot be told from ridge: +0.00 dB")
    assert "9 test images are too few" in sentence("ridge", close, 9)
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
    figures = Standing({"model": mixed}).figures("model")
    assert figures["sharpness"]["mean"] == pytest.approx(0.5)
    assert figures["sharpness"]["images"] == 300
    assert figures["psnr_db"]["images"] == 400
    assert np.isfinite([figures["sharpness"]["low"], figures["sharpness"]["high"]]).all()
    mixed["gradient"][2:] = np.nan  # a resample may draw neither of two
    assert "sharpness" not in Standing({"model": mixed}).figures("model")


def test_a_hole_one_pixel_wide_has_no_sharpness(errors):
    thin = columns(errors, gradient=np.nan)
    assert "sharpness" not in Standing({"model": thin}).figures("model")
    assert "sharpness" not in Standing({"model": thin, "ridge": thin}).lead("ridge")
