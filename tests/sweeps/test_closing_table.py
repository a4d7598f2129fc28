from ctxenc.sweeps.closing_table import closing
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import fake_run


def shown(sweep, objective="psnr_db"):
    return closing(sweep, sweep.refresh(), objective)


def test_best_first_by_the_objective(tmp_path):
    sweep = Sweep(tmp_path)
    sweep.begin([], 3)
    for number, psnr in enumerate((15.0, 17.0, 16.0)):  # L1 is 30 % less it
        fake_run(tmp_path / f"{number}-a", psnr)
    rows = [line[:3] for line in shown(sweep).splitlines()[2:5]]
    assert rows == ["1-a", "2-a", "0-a"]
    assert shown(sweep, "l1_percent").splitlines()[2].startswith("1-a")
    assert "3 of 3 jobs finished" in shown(sweep)
    assert "resume=" not in shown(sweep)


def test_means_and_spreads_over_seeds(tmp_path):
    sweep = Sweep(tmp_path)
    sweep.begin([], 4)
    figures = {("1e-3", 0): 15.0, ("1e-3", 1): 17.0, ("1e-2", 0): 16.5, ("1e-2", 1): 16.5}
    for number, ((rate, seed), psnr) in enumerate(figures.items()):
        own = [f"learning_rate_g={rate}", f"seed={seed}", "max_steps=100"]
        config = {"learning_rate_g": float(rate), "seed": seed}
        fake_run(tmp_path / f"{number}-a", psnr, overrides=own, **config)
    text = shown(sweep)
    lines = text.split("Mean ± standard deviation over seeds")[1].splitlines()
    assert lines[2].split()[:5] == ["learning_rate_g=1e-2", "2", "16.50", "±", "0.00"]
    assert lines[3].split()[:5] == ["learning_rate_g=1e-3", "2", "16.00", "±", "1.41"]  # √2
    assert text.endswith("--group-by seed")


def test_what_was_tested_on_other_masks_is_ranked_apart(tmp_path):
    sweep = Sweep(tmp_path)
    sweep.begin([], 2)
    fake_run(tmp_path / "0-a", 15.0)
    fake_run(tmp_path / "1-a", 17.0, masks="others")
    assert shown(sweep).count("Best first") == 2


def test_what_did_not_finish_says_why_and_how_to_go_on(tmp_path):
    sweep = Sweep(tmp_path / "it's")
    sweep.path.mkdir()
    sweep.begin([], 4)
    fake_run(sweep.path / "0-a")
    fake_run(sweep.path / "1-a", state="failed", error="OSError: disk full")
    fake_run(sweep.path / "2-a", state="interrupted", error="SIGTERM")
    text = shown(sweep)
    assert "1-a  failed        100  61 s  OSError: disk full" in text
    assert "1 of 4 jobs finished, 1 failed" in text
    (line,) = [line for line in text.splitlines() if "resume=" in line]
    assert line.endswith(f"resume='{tmp_path}/it'\"'\"'s'")
