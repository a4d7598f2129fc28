"""Which key matters: a forest's answer, and when it has none."""

import itertools

import numpy as np
import pytest

from ctxenc.comparison import importance, sections
from ctxenc.comparison.records import load, read
from tests.fake_runs import RANDOM, fake_run


def found(folder, psnr, seeds=3):
    """A sweep over the mask, two other keys and the seed, whose PSNR is that function of them."""
    values = itertools.product((0, 1), (0.0, 1e-3, 1e-2), (8, 16), range(seeds))
    for number, (mask, weight, batch, seed) in enumerate(values):
        config = {"lambda_adv": weight, "batch_size": batch, "seed": seed}
        config |= RANDOM if mask else {}
        noise = np.random.default_rng(number).normal(0, 0.1)
        fake_run(folder / str(number), psnr(mask, weight, batch) + noise, **config)
    compared = sections.compare(load([folder]))
    return importance.tables(compared, "psnr_db")


def test_what_decides_comes_first_and_what_does_nothing_has_none(tmp_path):
    (table,) = found(tmp_path, lambda mask, weight, batch: 15 + 3 * (weight > 0) + mask)
    keys = [row["key"].text for row in table.rows]
    importances = {row["key"].text: row["importance"].value for row in table.rows}
    assert keys == ["lambda_adv", "mask", "batch_size"]
    assert importances["lambda_adv"] > 3 * importances["mask"] > 0.1
    assert importances["batch_size"] == pytest.approx(0, abs=0.05)
    assert "36 runs" in table.notes[0]


def test_numbers_are_by_size_beside_what_is_none(tmp_path):
    values = (0.5, 0.25, 1e-5, None, 10)
    runs = [read(fake_run(tmp_path / f"{v}", overlap=v).path, f"{v}") for v in values]
    assert importance._coded(runs, ["overlap"])[:, 0].tolist() == [2, 1, 0, 4, 3]


def test_of_noise_and_of_few_runs_nothing_is_said(tmp_path):
    (table,) = found(tmp_path / "noise", lambda *_: 15.0)
    assert not table.rows
    assert "too little to tell which matters" in table.notes[0]
    (table,) = found(tmp_path / "few", lambda mask, *_: 15.0 + mask, seeds=2)
    assert not table.rows
    assert table.notes == ("24 finished runs, too few to tell 3 keys apart: expected 30 or more.",)


def test_of_one_key_there_is_nothing_to_tell_apart(tmp_path):
    for number in range(30):
        fake_run(tmp_path / str(number), 15.0 + number, lambda_adv=number / 10)
    compared = sections.compare(load([tmp_path]))
    assert importance.tables(compared, "psnr_db") == []
    assert importance.why_none(compared, "psnr_db") == "fewer than two keys differ"


def test_of_a_metric_that_no_validation_has_it_is_said(tmp_path):
    found(tmp_path, lambda *_: 15.0, seeds=1)
    compared = sections.compare(load([tmp_path]), sort="test.swd")
    assert importance.tables(compared, "swd") == []
    why = importance.why_none(compared, "swd")
    assert why.startswith("no finished run has a validation with swd; expected --sort by")
