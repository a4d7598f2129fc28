import pytest

from ctxenc.sweeps.folder import Sweep
from ctxenc.sweeps.run import closing
from tests.fake_runs import fake_run


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # a row a run, on one line


def shown(folder, planned, monitor="psnr_db", again=()):
    return closing(folder, Sweep(folder).update(), planned, monitor, again)


def names(text, title):
    """The first column of the table that begins with this line."""
    lines = text[text.index(title) :].split("\n\n")[0].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(("run ", "learning_rate_g ")))
    return [line.split()[0] for line in lines[start + 1 :]]


def test_best_first_by_the_monitored_metric_which_is_shown(tmp_path):
    for number, psnr in enumerate((15.0, 17.0, 16.0)):  # L1 is 30 % less it
        fake_run(tmp_path / f"{number}-a", psnr)
    text = shown(tmp_path, 3)
    assert names(text, "40 validation images") == ["1-a", "2-a", "0-a"]
    assert names(shown(tmp_path, 3, "l1_percent"), "40 validation images")[0] == "1-a"
    assert "pooled PSNR" not in text
    assert "pooled PSNR" in shown(tmp_path, 3, "psnr_pooled_db")
    assert "3 of 3 jobs finished" in text
    assert "resume=" not in text


def test_means_and_spreads_over_seeds_best_first(tmp_path):
    figures = {("0.001", 0): 15.0, ("0.001", 1): 17.0, ("0.01", 0): 16.5, ("0.01", 1): 16.5}
    for number, ((rate, seed), psnr) in enumerate(figures.items()):
        fake_run(tmp_path / f"{number}-a", psnr, learning_rate_g=float(rate), seed=seed)
    text = shown(tmp_path, 4)
    means = text.index("Mean ± standard deviation over seed")
    (line,) = [
        line for line in text[means:].splitlines() if line.startswith("learning_rate_g=0.001 ")
    ]
    assert line.split()[1:5] == ["2", "16.00", "±", "1.41"]  # √2
    assert text.index("learning_rate_g=0.01 ", means) < text.index("learning_rate_g=0.001 ", means)


def test_seeds_that_each_have_other_keys_have_no_means(tmp_path):
    for seed in (0, 1):
        fake_run(tmp_path / f"{seed}-a", seed=seed, lambda_adv=float(seed))
    assert "Mean ±" not in shown(tmp_path, 2)


def test_what_was_tested_on_other_masks_is_ranked_apart(tmp_path):
    fake_run(tmp_path / "0-a", 15.0)
    fake_run(tmp_path / "1-a", 17.0, masks="others")
    text = shown(tmp_path, 2)
    assert text.count("40 validation images") == 2
    assert "the validation masks differ, so figures do not compare" in " ".join(text.split())


def test_what_did_not_finish_says_why_and_how_to_resume(tmp_path):
    folder = tmp_path / "it's"
    fake_run(folder / "0-a")
    fake_run(folder / "1-a", state="failed", error="OSError: disk full")
    fake_run(folder / "2-a", state="interrupted", error="SIGTERM")
    text = shown(folder, 4, again=["--config-name=mine"])
    (line,) = [line for line in text.splitlines() if "OSError: disk full" in line]
    assert line.split()[:3] == ["1-a", "failed", "100"]
    assert "1 of 4 jobs finished, 1 failed" in text
    (line,) = [line for line in text.splitlines() if "resume=" in line]
    assert line.endswith(f"'resume={tmp_path}/it'\"'\"'s' --config-name=mine")


def test_a_sweep_of_which_nothing_has_begun_says_how_to_resume(tmp_path):
    assert shown(tmp_path, 2).splitlines() == [
        "0 of 2 jobs finished",
        f"to go on: python -m ctxenc.train resume={tmp_path}",
    ]
