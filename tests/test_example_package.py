"""The example package, installed beside ctxenc and used as its README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_parts"
SMALL = ["dataset.count=200", "image_size=16", "batch_size=16", "num_img=3"]
STEPS = ["mask.thickness=3", "max_steps=6", "eval_every=3", "n_update=3", "log_every=2"]
SWEEP = ["dataset=disks", "loss=reconstruction", "model=dilated", "predict=image"]
SWEEP += ["mask=center,cross", "mask_height=8", "mask_width=8", "max_steps=2"]
AGAINST = "context_mean,own_parts.baselines.nearest"

PROGRAMS = """
import json, sys
from tests.programs import program
print(json.dumps([program(*command) for command in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder below which the package is installed."""
    folder = tmp_path_factory.mktemp("home")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(EXAMPLE)], check=True)
    return folder


def programs(home, *commands):
    """What each of ctxenc's programs prints, in a process where the package is installed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS, json.dumps(commands)],
        cwd=home,
        env={**os.environ, "PYTHONPATH": f"{home / 'site'}:{EXAMPLE.parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(home):
    """The help, and what a run and a sweep print."""
    train = ["train", "+experiment=own_parts", *SMALL, *STEPS, "hydra.run.dir=run"]
    sweep = ["train", "--multirun", *SMALL, *SWEEP, "hydra.sweep.dir=sweep"]
    return programs(home, ["train", "--help"], train, sweep)


def test_its_choices_are_listed(told):
    for choice in ("mask=cross", "dataset=disks", "loss=charbonnier", "+experiment=own_parts"):
        assert choice in told[0]


def test_it_trains_and_logs_its_own_terms(told, home):
    assert told[1].strip() == str(home / "run")
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    assert {"reconstruction_loss", "gradient_penalty", "adversarial_loss"} <= train[-1].keys()
    assert json.loads((home / "run/dataset.json").read_text())["name"] == "disks"


def test_it_sweeps_beside_what_ctxenc_has(told, home):
    assert told[2].splitlines()[-1] == str(home / "sweep")
    jobs = sorted(p.name for p in (home / "sweep").iterdir() if p.is_dir())
    assert [name for name in jobs if not name.startswith(".")] == ["0-mask=center", "1-mask=cross"]


@pytest.mark.usefixtures("told")
def test_its_run_is_resumed_evaluated_and_compared(home):
    resume, evaluate = ["resume=run", "max_steps=8"], ["run", "--baselines", AGAINST]
    told = programs(home, ["train", *resume], ["evaluate", *evaluate], ["compare", ".", "--all"])
    assert json.loads((home / "run/status.json").read_text())["step"] == 8
    (file,) = home.glob("run/evaluation/*/metrics.json")
    rows = json.loads(file.read_text())["rows"]
    assert rows.keys() == {"model", "context_mean", "own_parts.baselines.nearest"}
    assert rows["own_parts.baselines.nearest"]["psnr_db"]["mean"] > 10
    assert "cross" in told[2]
