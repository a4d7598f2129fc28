"""The example package, installed beside ctxenc and used as its README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_parts"
SMALL = ["dataset.count=200", "image_size=16", "batch_size=16", "mask.thickness=3", "num_img=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs one of ctxenc's programs where the package is installed."""
    home = tmp_path_factory.mktemp("home")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(home / "site"), str(EXAMPLE)], check=True)
    environment = {**os.environ, "PYTHONPATH": f"{home / 'site'}:{EXAMPLE.parents[1]}"}

    def program(name, *arguments, **more):
        done = subprocess.run(
            [sys.executable, "-m", f"ctxenc.{name}", *map(str, arguments)],
            cwd=home,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return program


@pytest.fixture(scope="module")
def trained(run):
    steps = ["max_steps=6", "eval_every=3", "n_update=3", "log_every=2"]
    return Path(run("train", "+experiment=own_parts", *SMALL, *steps).strip())


def test_its_choices_are_listed(run):
    listed = run("train", "--help")
    for choice in ("mask=cross", "dataset=disks", "loss=charbonnier", "+experiment=own_parts"):
        assert choice in listed


def test_it_trains_and_logs_its_own_terms(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    assert {"reconstruction_loss", "gradient_penalty", "adversarial_loss"} <= train[-1].keys()
    assert json.loads((trained / "dataset.json").read_text())["name"] == "disks"


def test_its_run_is_resumed_evaluated_and_compared(run, trained):
    run("train", f"resume={trained}", "max_steps=8")
    assert json.loads((trained / "status.json").read_text())["step"] == 8
    run("evaluate", trained, "--baselines", "context_mean,own_parts.baselines.nearest")
    (file,) = trained.glob("evaluation/*/metrics.json")
    rows = json.loads(file.read_text())["rows"]
    assert rows.keys() == {"model", "context_mean", "own_parts.baselines.nearest"}
    assert rows["own_parts.baselines.nearest"]["psnr_db"]["mean"] > 10
    assert "cross" in run("compare", trained.parent, "--all")


def test_it_sweeps_beside_what_ctxenc_has(run):
    kinds = ["mask=center,cross", "mask_height=8", "mask_width=8"]
    sweep = [*SMALL[:3], "dataset=disks", "loss=reconstruction", "model=dilated", "predict=image"]
    out = run("train", "--multirun", *sweep, *kinds, "num_img=3", "max_steps=2")
    jobs = sorted(p.name for p in Path(out.splitlines()[-1]).iterdir() if p.is_dir())
    assert [name for name in jobs if not name.startswith(".")] == ["0-mask=center", "1-mask=cross"]
