"""Runs as a pandas table."""

import numpy as np
import pytest

import ctxenc
from tests.fake_runs import damage, fake_evaluation, fake_run


def test_a_row_a_run_with_keys_figures_and_the_run_itself(tmp_path):
    for seed, weight in ((0, 0.0), (1, 0.0), (0, 0.01)):
        run = fake_run(
            tmp_path / f"{weight}-{seed}", 15 + seed + 100 * weight, seed=seed, lambda_adv=weight
        )
        if seed == 0:
            fake_evaluation(run, [10.0, 12.0])
    damage(fake_run(tmp_path / "torn"), "summary.json", "{")
    table = ctxenc.runs(tmp_path)
    assert list(table.index) == ["0.0-0", "0.0-1", "0.01-0", "torn"]
    means = table.groupby("lambda_adv")["validation.last.psnr_db"].mean()
    assert means.to_dict() == {0.0: 15.5, 0.01: 16.0, 0.001: pytest.approx(np.nan, nan_ok=True)}
    assert table["seed"].tolist() == [0, 1, 0, 0]
    assert table["mask"].tolist() == ["center"] * 4
    assert table.loc["0.0-0", "test.psnr_db"] == 11.0
    assert table["test.psnr_db"].isna().tolist() == [False, True, False, True]
    assert (table.loc["torn", "state"], table.loc["0.0-0", "state"]) == ("damaged", "finished")
    assert table.loc["0.01-0", "run"].path == tmp_path / "0.01-0"
    assert len(table.loc["0.01-0", "run"].metrics("validation")) == 2
    assert table["masks"].dropna().unique().tolist() == ["masks"]


def test_no_run_is_a_user_error(tmp_path):
    with pytest.raises(ctxenc.UserError, match="no run here or below"):
        ctxenc.runs(tmp_path)


def test_the_version_is_the_packages():
    assert ctxenc.__version__.count(".") == 2
