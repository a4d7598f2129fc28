"""The program, on a run of a few steps: figures, files, verdict, and what it refuses."""

import contextlib
import csv
import dataclasses
import functools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from ctxenc import launch
from ctxenc.baselines import BASELINES, Baseline
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.data.images import MemoryImages, fingerprint
from ctxenc.errors import UserError
from ctxenc.evaluation import load
from ctxenc.evaluation.folder import Evaluation
from ctxenc.evaluation.held_out import HeldOutSplit
from ctxenc.evaluation.load import _check_missing, check_held_out
from ctxenc.masks import boxes
from ctxenc.metrics.registry import METRICS, Metric, columns, measured_in_training
from ctxenc.parallel import devices
from ctxenc.report import extremes
from ctxenc.run_folder.folder import Run
from tests import stand_ins
from tests.programs import started
from tests.tiny import TINY, tiny_model

ROWS = {"model", *BASELINES}
NAMES = measured_in_training()
SHARDING = devices.shardings()[1]
PER_IMAGE = columns(tuple(METRICS))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("home")):
        return launch.run(*TINY, "max_steps=4")


@pytest.fixture(scope="module")
def done(run, tmp_path_factory):
    """The program with everything at its default, started elsewhere."""
    return started("evaluate", run.path, cwd=tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def evaluation(done):
    assert done.returncode == 0, done.stderr
    return Evaluation(done.stdout.splitlines()[-1])


@pytest.fixture
def program():
    """Start it in this process; (exit status, standard output, standard error)."""
    return functools.partial(started, "evaluate")


def test_without_a_run_it_says_that_one_is_expected(program):
    status, out, error = program()
    assert (status, out) == (1, "")
    (line,) = error.splitlines()
    assert line.startswith("ctxenc.evaluate: no run is named; expected python -m ctxenc.evaluate")


def test_it_prints_a_table_the_verdict_and_last_the_folder(done, run, evaluation):
    assert evaluation.path == run.path / "evaluation" / "photos-center"
    assert done.stdout.splitlines()[-1] == str(evaluation.path)
    assert "flatters" not in done.stdout
    order = [line.split("  ")[0].strip("> ") for line in done.stdout.splitlines()]
    places = [i for i, line in enumerate(done.stdout.splitlines()) if " to " in line]
    means = [float(done.stdout.splitlines()[i].split("(")[0].split()[-1]) for i in places[:8]]
    assert len(means) == 8
    assert means == sorted(means, reverse=True)
    assert "model" in "".join(order)
    assert "The model loses to" in done.stdout  # four steps teach it nothing
    assert "testing: " in done.stderr
    assert "fitting ridge: " in done.stderr
    assert "Traceback" not in done.stderr
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80


def test_metrics_json_says_what_was_measured_and_has_every_figure(run, evaluation):
    metrics = evaluation.metrics
    assert metrics["name"] == "photos-center"
    assert metrics["run"] == str(run.path)
    assert metrics["checkpoint"] == {"which": "best", "step": 4, "weights": "raw"}
    assert metrics["missing"] == {"least": 25.0, "mean": 25.0, "most": 25.0}
    assert {k: metrics["dataset"][k] for k in ("name", "image_size")} == {
        "name": "photos",
        "image_size": 16,
    }
    data = build.dataset(check(run.config), "test")
    assert metrics["dataset"]["test_fingerprint"] == fingerprint(data.test)
    assert metrics["images"] == metrics["dataset"]["test_images"] == len(data.test)
    assert metrics["mask_hash"] != run.dataset["mask_hash"]  # of fewer validation images
    assert metrics["overrides"] == []
    assert metrics["near_copies"] is None  # the photographs' crops are new every epoch
    assert metrics["networks"] == {}
    assert set(metrics["rows"]) == ROWS
    for row in metrics["rows"].values():
        assert {*NAMES, "sharpness", "swd"} == set(row)
        for name in (*NAMES, "sharpness"):
            assert row[name]["low"] <= row[name]["mean"] <= row[name]["high"]
            assert row[name]["images"] == metrics["images"]
    assert metrics["rows"]["mean_colour"]["sharpness"]["mean"] == 0
    json.dumps(metrics, allow_nan=False)


@pytest.fixture
def on_validation(monkeypatch):
    """Have evaluations measure the validation split, as training does."""
    opened = build.dataset

    def swapped(config, held_out):
        data = opened(config)
        return dataclasses.replace(data, test=data.validation)

    monkeypatch.setattr(build, "dataset", swapped)


@pytest.mark.usefixtures("on_validation")
def test_the_model_and_the_simple_fills_measure_as_in_training(run, program):
    """Training's own validations go another way: no baselines beside, other programs."""
    status, _, error = program(
        run.path, "--baselines=mean-colour,context-mean,harmonic", "--name=same"
    )
    assert status == 0, error
    metrics = Evaluation.of(run, "same").metrics
    assert metrics["mask_hash"] == run.dataset["mask_hash"]
    assert metrics["dataset"]["test_fingerprint"] == run.dataset["validation_fingerprint"]
    rows = metrics["rows"]
    for name in NAMES:
        assert rows["model"][name]["mean"] == pytest.approx(run.summary["best"][name], rel=1e-4)
        for row, figures in run.summary["baselines"].items():
            assert rows[row][name]["mean"] == pytest.approx(figures[name], rel=1e-4)


def test_the_verdict_follows_from_the_rows(evaluation):
    metrics = evaluation.metrics
    psnr = {row: figures["psnr_db"]["mean"] for row, figures in metrics["rows"].items()}
    best = max(psnr.keys() - {"model"}, key=psnr.__getitem__)
    assert metrics["best_baseline"] == best
    lead = metrics["model_minus_best_baseline"]["psnr_db"]
    assert lead["mean"] == pytest.approx(psnr["model"] - psnr[best])
    assert lead["low"] <= lead["mean"] <= lead["high"] < 0
    assert metrics["verdict"].startswith(f"the model loses to {best} by {-lead['mean']:.2f} dB")


def test_per_image_csv_has_every_image_and_averages_to_the_figures(evaluation):
    with (evaluation.path / "per_image.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    metrics = evaluation.metrics
    assert [int(line["index"]) for line in lines] == list(range(metrics["images"]))
    assert set(lines[0]) == {"index"} | {f"{r}.{m}" for r in ROWS for m in PER_IMAGE}
    columns = evaluation.per_image()
    for row in ROWS:
        figures = metrics["rows"][row]
        assert columns[f"{row}.psnr"].mean() == pytest.approx(figures["psnr_db"]["mean"], rel=1e-5)
        assert columns[f"{row}.ssim"].mean() == pytest.approx(figures["ssim"]["mean"], rel=1e-5)
        pooled = -10 * np.log10(columns[f"{row}.l2"].mean())
        assert pooled == pytest.approx(figures["psnr_pooled_db"]["mean"], rel=1e-5)


def test_the_picture_shows_the_best_the_median_and_the_worst(evaluation):
    picture = np.asarray(Image.open(evaluation.grid))
    assert picture.shape[1] > 12 * extremes.grids.SMALLEST_TILE
    psnr = evaluation.per_image()["model.psnr"]
    chosen = extremes.choose(psnr)
    ordered = np.sort(psnr)
    np.testing.assert_array_equal(np.sort(psnr[chosen["best"]]), ordered[-4:])
    np.testing.assert_array_equal(np.sort(psnr[chosen["worst"]]), ordered[:4])
    middle = psnr[chosen["median"]]
    assert middle.min() <= np.median(psnr) <= middle.max()
    assert [len(i) for i in extremes.choose(psnr[:5]).values()] == [1, 1, 1]
    assert [len(i) for i in extremes.choose(psnr[:1]).values()] == [1, 1, 1]


def test_other_masks_are_those_of_a_run_trained_with_them(run, program):
    status, out, _ = program(run.path, "mask=random", "--slow-images", 40, "--batch-size", 48)
    assert status == 0
    found = Evaluation(out.splitlines()[-1])
    assert found.name == "photos-random"
    metrics = found.metrics
    assert set(metrics["rows"]) == ROWS - {"ridge"}
    assert "ridge is left out: expected one hole for all images" in out
    assert "* biharmonic is slow, and of the first 40 images only" in out
    assert metrics["rows"]["biharmonic"]["psnr_db"]["images"] == 40
    assert metrics["rows"]["biharmonic"]["swd"]["images"] == 40
    assert metrics["best_baseline"] not in (None, "biharmonic")
    per_image = found.per_image()["biharmonic.psnr"]
    assert np.isfinite(per_image[:40]).all()
    assert np.isnan(per_image[40:]).all()

    config = check(run.config)
    strategy = functools.partial(boxes.random_box, mask_height=8, mask_width=8)
    model = build.model(config)
    split = HeldOutSplit(
        build.dataset(config, "test").test, dataclasses.replace(model, mask=strategy), 32, SHARDING
    )
    assert metrics["mask_hash"] == split.frozen_masks.sha256
    assert metrics["dataset"]["test_fingerprint"] == fingerprint(split.images)


def test_other_images_and_another_checkpoint(run, program, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)).save(
            tmp_path / f"{i}.png"
        )
    asked = ("--checkpoint", "latest", "--baselines", "telea,context-mean", "batch_size=8")
    status, out, _ = program(
        run.path, *asked, "dataset=folder", f"dataset.path={tmp_path}", "dataset.test_fraction=0.5"
    )
    assert status == 0
    metrics = Evaluation(out.splitlines()[-1]).metrics
    assert metrics["name"] == f"folder-center-{tmp_path.name}-test_fraction=0.5-latest"
    assert metrics["images"] == len(Evaluation(out.splitlines()[-1]).per_image()["telea.l1"]) < 40
    assert set(metrics["rows"]) == {"model", "telea", "context_mean"}
    assert metrics["best_baseline"] == "context_mean"  # there is nothing in noise to carry on
    assert metrics["notes"] == []


def test_all_of_ones_own_photographs_are_measured_without_what_needs_training_images(
    run, program, tmp_path
):
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    status, out, error = program(run.path, "dataset=folder", f"dataset.path={tmp_path}")
    assert status == 0, error
    metrics = Evaluation(out.splitlines()[-1]).metrics
    assert metrics["images"] == 5
    assert metrics["overrides"] == ["dataset=folder", f"dataset.path={tmp_path}"]
    assert {*metrics["rows"]} == ROWS - {"ridge", "mean_colour"}
    assert "ridge is left out: expected two training images or more" in " ".join(out.split())
    assert "mean colour is left out: expected a training image" in " ".join(out.split())


def test_of_the_folder_that_it_was_trained_on_the_test_split_is_measured(tmp_path):
    node = OmegaConf.load("conf/dataset/folder.yaml")
    node.path = str(tmp_path)
    saved = OmegaConf.create({"dataset": node})
    changed = functools.partial(load.changed, is_moved=lambda config: False)
    same = [f"dataset.path={tmp_path}"]
    assert changed(saved, same).dataset.test_fraction == 0.1
    for override in ("dataset=folder", "dataset.resize=300"):
        again = changed(saved, [override, *same]).dataset
        assert again.test_fraction == 0.1
    other = changed(saved, [f"dataset.path={tmp_path}/deeper"])
    assert other.dataset.test_fraction == 1.0
    assert changed(saved, ["dataset.path=/b", "dataset.test_fraction=0.2"]).dataset == {
        **other.dataset,
        "path": "/b",
        "test_fraction": 0.2,
    }


def test_a_folder_that_has_moved_is_the_runs_own_and_its_training_images_are_not_tested(
    program, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pictures, rng = tmp_path / "pictures", np.random.default_rng(0)
    pictures.mkdir()
    for i in range(80):
        picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(picture).save(pictures / f"{i}.png")
    data = ["dataset=folder", "dataset.path=pictures", "dataset.test_fraction=0.3"]
    run = launch.run(*TINY, *data, "batch_size=8", "max_steps=2")
    build._dataset.cache_clear()
    pictures.rename("elsewhere")
    _, out, _ = program(run.path, "--baselines=none", "dataset.path=elsewhere")
    moved = Evaluation(out.splitlines()[-1])
    assert moved.name == "folder-center"
    assert moved.metrics["own"] is True
    assert 10 < moved.metrics["images"] < 40
    asked = "--baselines=none", "dataset.path=elsewhere", "dataset.resize=20"
    _, out, _ = program(run.path, *asked)
    resized = Evaluation(out.splitlines()[-1]).metrics
    assert (resized["own"], resized["images"]) == (False, moved.metrics["images"])
    Path("elsewhere", "0.png").rename("elsewhere/new.png")
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(f"elsewhere/{i}.png")
    build._dataset.cache_clear()
    _, out, _ = program(run.path, "--baselines=none", "dataset.path=elsewhere")
    other = Evaluation(out.splitlines()[-1])
    assert (other.name, other.metrics["own"]) == ("folder-center-elsewhere", False)
    assert other.metrics["images"] > 80


def test_an_override_of_what_the_run_has_anyway_leaves_the_evaluation_its_own(run, program):
    _, out, _ = program(run.path, "--baselines=none")
    own = Evaluation(out.splitlines()[-1])
    written = (own.path / "metrics.json").read_text()
    for override in ("mask=center", "mask_height=8", "batch_size=16"):
        _, out, _ = program(run.path, "--baselines=none", override)
        assert Evaluation(out.splitlines()[-1]).path == own.path
        assert own.metrics["own"] is True
    _, out, _ = program(run.path, "--baselines=none", "mask=random")
    assert Evaluation(out.splitlines()[-1]).metrics["own"] is False
    assert json.loads(written)["rows"].keys() == own.metrics["rows"].keys()


def test_another_split_of_the_images_it_was_trained_on_is_refused():
    trained = {"_target_": "ctxenc.data.folder.folder", "path": "/a", "test_fraction": 0.1}
    check_held_out(trained, {**trained, "path": "/b", "test_fraction": 0.5})
    with pytest.raises(UserError, match=r"^dataset\.test_fraction=0\.5: must be 0\.1"):
        check_held_out(trained, {**trained, "test_fraction": 0.5})


def half_grey(images, missing):
    """A baseline of the user's own."""
    return np.where(missing[..., None], 0.5, images / 127.5 - 1)


def whitened(images, missing):
    """One that breaks the contract."""
    return np.ones(images.shape, np.float32)


def test_a_baseline_of_the_users_own(run, program):
    status, out, error = program(run.path, f"--baselines=telea,{__name__}.half_grey", "--name=own")
    assert status == 0, error
    rows = Evaluation.of(run, "own").metrics["rows"]
    assert set(rows) == {"model", "telea", f"{__name__}.half_grey"}
    assert rows[f"{__name__}.half_grey"]["sharpness"]["mean"] == 0
    assert "half grey" in out
    assert len(Evaluation.of(run, "own").per_image(f"{__name__}.half_grey")) == len(PER_IMAGE)
    status, out, error = program(run.path, f"--baselines={__name__}.whitened", "--name=never")
    assert (status, out) == (1, "")
    assert error.splitlines()[-1].startswith(
        f"ctxenc.evaluate: --baselines {__name__}.whitened: changed visible pixels; expected"
    )
    assert not Evaluation.of(run, "never").path.exists()


def test_a_new_metric_and_a_new_baseline_are_one_entry_each(run, program, monkeypatch):
    def brightness(real, filled, mask):
        return (filled * mask).sum((1, 2, 3)) / (3 * mask.sum((1, 2, 3)))

    entry = Metric("brightness of the fill", "nits", 3, "higher", {"bright": brightness})
    monkeypatch.setitem(METRICS, "brightness", entry)
    monkeypatch.setitem(BASELINES, "grey", Baseline("half grey", half_grey))
    status, out, error = program(run.path, "--baselines=grey", "--name=new")
    assert status == 0, error
    evaluation = Evaluation.of(run, "new")
    assert evaluation.metrics["rows"]["grey"]["brightness"]["mean"] == pytest.approx(0.75)
    np.testing.assert_allclose(evaluation.per_image("grey")["grey.bright"], 0.75, rtol=1e-5)
    assert "brightness" in out
    assert "0.750" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80


def test_without_baselines_nothing_is_claimed(run, program):
    status, out, _ = program(run.path, "--baselines", "none", "--name", "alone")
    metrics = Evaluation(run.path / "evaluation" / "alone").metrics
    assert status == 0
    assert set(metrics["rows"]) == {"model"}
    assert metrics["best_baseline"] is None
    assert "No baseline was measured" in out


def test_the_users_networks_see_every_row_that_is_of_all_images(run, program, tmp_path):
    inception = stand_ins.save_inception(tmp_path / "inception.pt")
    lpips = stand_ins.save_lpips(tmp_path / "lpips.pt")
    asked = ("--baselines=ridge,mean-colour,biharmonic", "--slow-images=40", "--name=seen")
    files = (f"--inception={inception}", f"--lpips={lpips}")
    status, out, error = program(run.path, *asked, *files)
    assert status == 0, error
    metrics = Evaluation(out.splitlines()[-1]).metrics
    assert {name: found["file"] for name, found in metrics["networks"].items()} == {
        "inception": "inception.pt",
        "lpips": "lpips.pt",
    }
    rows = metrics["rows"]
    assert not {"fid", "kid", "lpips"} & set(rows.pop("biharmonic"))
    for row in rows.values():
        for name in ("fid", "kid", "lpips"):
            assert row[name]["images"] == metrics["images"]
        assert row["lpips"]["low"] < row["lpips"]["mean"] < row["lpips"]["high"]
    for name in ("fid", "lpips"):
        assert 0 < rows["ridge"][name]["mean"] < rows["mean_colour"][name]["mean"]
    assert f"FID of {metrics['images']} images only" in metrics["notes"][-1]
    assert f"{rows['model']['lpips']['mean']:.4f} (" in out
    assert f"{rows['ridge']['fid']['mean']:.2f}" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert "FID and KID: " in error
    json.dumps(metrics, allow_nan=False)


def test_without_pytorch_one_line_before_anything_is_measured(run, program, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for flag in ("--inception", "--lpips"):
        status, out, error = program(run.path, flag, "any.pt", "--name", "never")
        assert (status, out) == (1, "")
        needs = f'{flag}: needs PyTorch: pip install "ctxenc[perceptual]"'
        assert error == f"ctxenc.evaluate: {needs}\n"
    assert not Evaluation.of(run, "never").path.exists()


def test_networks_that_are_none_are_one_line_and_nothing_is_written(run, program, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "text.pt").write_text("weights")
    for name, refusal in (("text.pt", "expected a TorchScript file"), ("none.pt", "no such file")):
        file = tmp_path / name
        status, out, error = program(run.path, "--lpips", file, "--name", "never")
        assert (status, out) == (1, "")
        assert error.startswith(f"ctxenc.evaluate: --lpips {file}: {refusal}")
        assert len(error.splitlines()) == 1
    assert not Evaluation.of(run, "never").path.exists()


def test_a_best_that_was_chosen_on_the_test_split_is_told(run, evaluation, program, tmp_path):
    """As in runs of format 1."""
    tested = evaluation.metrics["dataset"]["test_fingerprint"]
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    for fingerprint_then, told in ((tested, True), ("of other images", False)):
        copy.write_dataset({**run.dataset, "test_fingerprint": fingerprint_then})
        status, out, _ = program(copy.path, "--baselines", "none")
        assert status == 0
        assert ("it flatters the model" in out) is told
    _, out, _ = program(copy.path, "--baselines", "none", "--checkpoint", "latest")
    assert "flatters" not in out


def test_a_newly_chosen_mask_reads_the_runs_own_sizes(run):
    config = load.overridden(run.config, ["mask=random"], load.KEYS)
    assert config.mask["_target_"] == "ctxenc.masks.boxes.random_box"
    assert (config.mask.mask_height, config.mask.mask_width) == (8, 8)
    assert run.config.mask["_target_"] == "ctxenc.masks.boxes.center_box"
    chosen = ["dataset=cifar10", "dataset.classes=[cat]", "batch_size=4"]
    other = load.overridden(run.config, chosen, load.KEYS)
    assert (other.dataset.classes, other.batch_size) == (["cat"], 4)


class AnySize(nn.Module):
    """A generator of the user's own that takes images of any size."""

    output_size: tuple[int, int]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Conv(3, (3, 3), dtype=self.dtype)(x)
        return jnp.tanh(x if self.output_size == (16, 16) else x[:, :8, :8])


@pytest.mark.parametrize(
    ("asked", "size", "hole"),
    [
        ("predict=image mask_width=4", "image_size=32", (16, 4)),  # a half stays a half
        ("predict=image", "image_size=32 mask_height=4", (4, 16)),
        ("predict=hole", "image_size=32", (8, 8)),  # what it makes
    ],
)
def test_the_hole_in_images_of_another_size(tmp_path, monkeypatch, program, asked, size, hole):
    monkeypatch.setenv("CTXENC_PLUGINS", "tests")
    monkeypatch.chdir(tmp_path)
    own = ("~model.generator", f"+model.generator._target_={__name__}.AnySize")
    sizes = ("image_size=16", "batch_size=32", "max_steps=1")
    run = launch.run(*own, "loss=reconstruction", *sizes, *asked.split())
    status, out, error = program(run.path, *size.split(), "--baselines=none")
    assert status == 0, error
    missing = Evaluation(out.splitlines()[-1]).metrics["missing"]
    assert missing["mean"] == pytest.approx(100 * hole[0] * hole[1] / 32**2, abs=1e-4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model of whole images, told which pixels are missing, its weights averaged."""
    kind = ("predict=image", "mask_channel=true", "ema_decay=0.9", "loss=reconstruction")
    with contextlib.chdir(tmp_path_factory.mktemp("whole")):
        return launch.run(*TINY, *kind, "mask=random", "max_steps=3")


def test_a_model_of_whole_images_takes_masks_of_any_shape(whole, program):
    asked = ("mask=border", "--baselines=ridge,telea,context-mean", "--batch-size=48")
    status, out, error = program(whole.path, *asked)
    assert status == 0, error
    metrics = Evaluation(out.splitlines()[-1]).metrics
    assert metrics["name"] == "photos-border"
    assert metrics["missing"] == {"least": 75.0, "mean": 75.0, "most": 75.0}
    assert metrics["checkpoint"]["weights"] == "averaged"
    assert "step 3, averaged" in out
    assert set(metrics["rows"]) == {"model", "ridge", "telea", "context_mean"}  # one hole for all
    for row in metrics["rows"].values():
        assert {*NAMES, "sharpness", "swd"} == set(row)
        assert len(row["swd"]["levels"]) == 2  # 16 and 8 pixels: of the whole image
    assert metrics["rows"]["ridge"]["psnr_db"]["mean"] > metrics["rows"]["model"]["psnr_db"]["mean"]
    status, _, error = program(whole.path, "image_size=32")
    assert status == 1
    assert "image_size=32: must be 16, as this generator's weights are for images of" in error


@pytest.mark.usefixtures("on_validation")
def test_raw_weights_are_measured_apart(whole, program):
    names = []
    for flags in ((), ("--raw",)):
        status, out, _ = program(whole.path, "--baselines=none", *flags)
        assert status == 0
        names.append(out.splitlines()[-1])
    averaged, raw = (Evaluation(name).metrics for name in names)
    assert (averaged["name"], raw["name"]) == ("photos-random", "photos-random-raw")
    assert raw["checkpoint"] == {"which": "best", "step": 3, "weights": "raw"}
    (line,) = whole.lines("validation")
    for metrics, prefix in ((averaged, ""), (raw, "raw_")):
        found = metrics["rows"]["model"]["psnr_db"]["mean"]
        assert found == pytest.approx(line[f"{prefix}psnr_db"], rel=2e-5)
    assert line["raw_psnr_db"] != pytest.approx(line["psnr_db"], rel=2e-5)


def test_a_long_name_is_cut_before_what_tells_the_weights_apart(whole, program, tmp_path):
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    for i in range(20):
        Image.new("RGB", (16, 16), (i, 2 * i, 3 * i)).save(folder / f"{i}.png")
    asked = ("--baselines=none", "dataset=folder", f"dataset.path={folder}", "--raw")
    status, out, error = program(whole.path, *asked, "--checkpoint=latest")
    assert status == 0, error
    name = Evaluation(out.splitlines()[-1]).name
    assert name.startswith("folder-random-longlong")
    assert name.endswith("-raw-latest")


@pytest.mark.parametrize("missing", [0.0, 1.0])
def test_masks_that_leave_nothing_to_measure_or_to_see_are_refused(images, missing):
    def mask(key, batch, height, width):
        return jnp.full((batch, height, width, 1), missing)

    model = dataclasses.replace(tiny_model(), mask=mask)
    with pytest.raises(UserError, match="some of every image missing and some visible"):
        _check_missing(HeldOutSplit(MemoryImages(np.asarray(images)), model, 8, SHARDING))


BAD = {
    "mask_height=4": "mask: expected one box of 8 × 8 pixels missing in every image",
    "mask.mask_height=4": "mask: expected one box of 8 × 8 pixels missing in every image",
    "mask=border": "predict=image",
    "image_size=32": "image_size=32: must be 16, as this generator's weights are for images of 16",
    "mask=nope": "mask=nope: expected blocks, ",
    "mask=center,random": "mask=center,random: expected one value",
    "mask.nope=1": "mask.nope: no such option",
    "lambda_adv=0": "lambda_adv=0: the generator is trained; only batch_size, image_size, ",
    "model=tf_original": "model=tf_original: the generator is trained",
    "+mask.x=1": "the generator is trained",
    "~mask": "the generator is trained",
    "dataset=folder": "dataset.path: no default; set dataset.path=…",
    "dataset=null": "dataset=null: expected ",
    "batch_size=0": "batch_size=0: expected",
    "--batch-size=x": None,
    "--checkpoint=7": "saved steps: [4]",
    "--checkpoint=newest": "expected best, latest or the number of a saved step",
    "--baselines=telea,magic": "--baselines magic: expected all, none, package.module.name of your",
    "--baselines=no.such.fill": "--baselines=no.such.fill: cannot be imported",
    "--baselines=operator.is_": "--baselines operator.is_: returned bool; expected float32 in",
    "--name=../x": "--name ../x: expected the name of one folder",
    "--slow-images=0": "--slow-images 0: must be 1 or more",
    "--config-dir=nowhere": "--config-dir nowhere: no such folder",
}


@pytest.mark.parametrize("argument", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(run, program, argument):
    before = sorted(run.path.rglob("*"))
    status, out, error = program(run.path, argument)
    assert sorted(run.path.rglob("*")) == before
    assert out == ""
    if BAD[argument] is None:  # argparse's own
        assert status == 2
        return
    assert status == 1
    (line,) = error.splitlines()
    assert line.startswith("ctxenc.evaluate: ")
    assert BAD[argument] in line


def test_ridge_is_refused_where_masks_differ(run, program):
    status, _, error = program(run.path, "mask=random", "--baselines", "ridge")
    assert status == 1
    assert "--baselines ridge: expected one hole for all images" in error


def test_no_run_folder_and_no_checkpoint(run, program, tmp_path):
    status, _, error = program(tmp_path)
    assert status == 1
    assert f"{tmp_path}: no run here or below" in error
    for name in (".hydra", "dataset.json"):
        copy = shutil.copytree if (run.path / name).is_dir() else shutil.copy
        copy(run.path / name, tmp_path / name)
    status, _, error = program(tmp_path)
    assert status == 1
    assert "no checkpoint yet" in error
    Run(tmp_path).checkpoints.mkdir()
    status, _, error = program(tmp_path)
    assert status == 1
    assert "no whole checkpoint here" in error
