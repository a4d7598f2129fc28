"""Run folders outlive the code: those of every released format, read by every program.

`tests/make_fixtures.py` made them. What is added to ctxenc later — a metric, a logged figure, a
key, a baseline — must leave them readable.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from ctxenc import baselines, launch, step
from ctxenc.baselines import BASELINES, Baseline
from ctxenc.comparison.records import load
from ctxenc.config import build, checks, schema
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from ctxenc.evaluation.evaluate import evaluate
from ctxenc.metrics.registry import METRICS, Metric
from ctxenc.run_folder.folder import VALIDATED, Run
from ctxenc.sweeps import start
from ctxenc.sweeps.folder import Sweep
from tests.make_fixtures import SMALL
from tests.programs import program

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = sorted(path.name for path in FIXTURES.iterdir())


@pytest.fixture(params=FORMATS)
def folder(request, tmp_path, monkeypatch):
    """A copy of a format's folders: ``run`` and ``sweep``."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(FIXTURES / request.param, tmp_path / "runs")


@pytest.fixture(params=[name for name in FORMATS if int(name[6:]) >= VALIDATED])
def validated(request, tmp_path, monkeypatch):
    """Likewise, of the formats whose runs can be resumed."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(FIXTURES / request.param, tmp_path / "runs")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("name", FORMATS)
def test_they_are_small(name):
    size = sum(file.stat().st_size for file in (FIXTURES / name).rglob("*") if file.is_file())
    assert size < 850_000


def test_every_program_reads_them(folder, photo):
    run = folder / "run"
    table = program("compare", folder, "--html", folder / "page.html", "--format", "json")
    labels = {row["run"] for t in json.loads(table)["tables"] for row in t["rows"]}
    assert {"run", "sweep/0-lambda_adv=0", "sweep/1-lambda_adv=0.001"} <= labels
    assert "<table" in (folder / "page.html").read_text()
    program("evaluate", run, "--baselines", "context_mean", "--name", "again")
    program("inpaint", run, photo, "--box", "10,10,12,12", "-o", folder / "filled.png")
    program("export", run, "-o", folder / "exported")


def test_those_with_a_validation_split_go_on(validated):
    run, sweep = validated / "run", validated / "sweep"
    assert program("train", f"resume={run}", "max_steps=9").strip() == str(run)
    assert Run(run).status["step"] == 9
    shutil.rmtree(sweep / "1-lambda_adv=0.001")
    program("train", f"resume={sweep}")
    assert Run(sweep / "1-lambda_adv=0.001").state == "finished"


def test_those_without_a_validation_split_are_not_trained_further(tmp_path, monkeypatch):
    """Their training split held what is now held out."""
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(FIXTURES / "format1", tmp_path / "runs")
    for path in (folder / "run", folder / "sweep"):
        with pytest.raises(UserError, match=rf"^resume={path}: .*(without a|no) validation split"):
            launch.run(f"resume={path}") if path.name == "run" else start.resumed(Sweep(path), [])
    assert Run(folder / "run").state == "finished"


def test_new_runs_begin_with_their_weights(folder):
    first = Run(folder / "sweep/1-lambda_adv=0.001").status["format"] == 1
    ends = {"run": "step 7 (the best), averaged weights"}
    weights = "raw" if first else "averaged"
    ends |= {"sweep/1-lambda_adv=0.001": f"step 2 (the best), {weights} weights"}
    model = ["model=cifar"] if first else []  # the default of then
    for name, end in ends.items():
        _, overrides = launch.split_resume([*SMALL, *model, f"init_from={folder / name}"])
        assert launch.prepare(compose(overrides)).warm_start.lines == (
            f"{folder / name}, {end}",
            "generator: 20 of 20 arrays taken",
            "discriminator: 14 of 14 arrays taken",
        )


@pytest.mark.usefixtures("in_full")
def test_an_evaluation_of_then_is_that_of_now(folder):
    """The same weights on the same images and masks; sums may differ in their last digits."""
    file = folder / "run" / "evaluation" / "photos-random" / "metrics.json"
    then = json.loads(file.read_text())["rows"]
    now = evaluate(folder / "run", name="now", against="context_mean,telea").metrics["rows"]
    for row, figures in then.items():
        for name, figure in figures.items():
            assert now[row][name]["mean"] == pytest.approx(figure["mean"], rel=1e-3), (row, name)


def test_options_of_a_group_that_came_or_went_are_named_once_and_ignored(folder, caplog):
    file = folder / "run" / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    OmegaConf.update(config, "dataset.data_dir", "old/place", force_add=True)
    OmegaConf.update(config, "model.generator.attention", True, force_add=True)
    config.loss = {**config.loss, "texture": {"_target_": "ctxenc.losses.of_tomorrow"}}
    OmegaConf.save(config, file)
    found = evaluate(folder / "run", name="now", against="context_mean").metrics["rows"]
    assert found["model"]["psnr_db"]["mean"] > 0
    texture = "loss.texture={'_target_': 'ctxenc.losses.of_tomorrow'}"
    for option in ("dataset.data_dir=old/place", "model.generator.attention=True", texture):
        assert caplog.text.count(f"{option}: this version of ctxenc has no such option") == 1


@pytest.fixture(scope="module")
def grown():
    """ctxenc with one more metric, logged figure, key and baseline, until this file's last test."""
    monkeypatch = pytest.MonkeyPatch()

    def worst(real, filled, mask):
        return (abs(real - filled) * mask).max(axis=(1, 2, 3))

    metric = Metric("worst", "", 3, "lower", {"worst": worst}, when="training")
    monkeypatch.setitem(METRICS, "worst", metric)
    objectives = step.objectives

    def with_one_more(params, *rest):
        total, (stats, logged) = objectives(params, *rest)
        return total, (stats, {**logged, "weights_norm": jnp.sqrt(_square(params.generator))})

    monkeypatch.setattr(step, "objectives", with_one_more)
    more = schema.key(3, schema.Role.NO_EFFECT, "what nobody knew of then", at_least=1)
    config = dataclasses.make_dataclass("Config", [("patience", int, more)], bases=(schema.Config,))
    monkeypatch.setattr(schema, "Config", config)
    monkeypatch.setattr(checks, "Config", config)
    black = Baseline("black", lambda images, missing: _black(images, missing))
    monkeypatch.setitem(BASELINES, "black", black)
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _square(tree):
    return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))


def _black(images, missing):
    return np.where(missing[..., None], -1, images / 127.5 - 1).astype(np.float32)


def _forget():
    """What was compiled knows the metrics and figures of its time."""
    jax.clear_caches()
    build._model.cache_clear()


@pytest.mark.usefixtures("grown")
def test_what_is_added_later_leaves_them_readable(folder):
    run = Run(folder / "run")
    config = checks.check(checks.compatible(run.config, run.path))
    assert config.patience == 3
    found = evaluate(run.path, name="grown", against="black,context_mean").metrics["rows"]
    assert found["black"]["worst"]["mean"] > found["context_mean"]["worst"]["mean"]
    assert all(record.state != "damaged" for record in load([folder]))
    assert baselines.title("black") == "black"


@pytest.mark.usefixtures("grown")
def test_what_is_added_later_leaves_them_resumable(validated):
    run = Run(validated / "run")
    before = run.lines("train")
    launch.run(f"resume={run.path}", "max_steps=9")
    after = run.lines("train")
    assert after[: len(before) - 1] == before[:-1]  # the last was of the shorter run's end
    assert "weights_norm" not in before[0]
    assert after[-1]["weights_norm"] > 0
    assert run.summary["last"]["worst"] > 0
    compared = program("compare", validated, "--format", "csv")
    assert "worst" in compared.splitlines()[0]
