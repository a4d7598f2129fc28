"""The program: what it finds where there is something to find, its files, and what it refuses."""

import contextlib
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import ctxenc
from ctxenc import launch, probe
from ctxenc.comparison import records
from ctxenc.data.images import Dataset, MemoryImages
from ctxenc.data.labels import Labels
from ctxenc.errors import UserError
from ctxenc.probing import finetune, labelled, several
from ctxenc.probing import probe as probing
from ctxenc.probing.folder import Probe
from ctxenc.report import probes as report
from ctxenc.trained import TrainedModel
from tests.programs import program as printed
from tests.programs import started
from tests.tiny import TINY

HERE = "tests.probing.planted"
PLANTED = ("~dataset", f"+dataset._target_={HERE}.planted")


@pytest.fixture(scope="module", autouse=True)
def _plugins():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTXENC_PLUGINS", "tests")
        yield


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, _plugins):
    folder = tmp_path_factory.mktemp("sweep")
    with contextlib.chdir(folder):
        for seed in range(3):
            launch.run(
                *TINY, *PLANTED, "max_steps=4", f"seed={seed}", f"hydra.run.dir={folder}/{seed}"
            )
    return folder


@pytest.fixture(scope="module")
def out(sweep):
    """What the program prints of one run."""
    probing._known.cache_clear()
    return printed("probe", sweep / "0")


@pytest.fixture
def refused(sweep, monkeypatch, capsys):
    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["probe", str(sweep / "0"), *arguments])
        with pytest.raises(SystemExit):
            probe.main()
        return capsys.readouterr().err.strip()

    return start


@pytest.fixture
def metrics(sweep, out):
    return Probe(sweep / "0" / "probe" / "planted").metrics


def test_a_planted_signal_is_found_in_features_and_not_where_there_is_none(sweep, metrics):
    rows = metrics["rows"]
    assert list(rows) == ["model", "random", "pixels"]
    assert rows["model"]["linear"]["mean"] > 85
    assert rows["random"]["linear"]["mean"] > 60
    for figure in (rows["model"]["linear"], rows["model"]["knn"]):
        assert figure["low"] < figure["mean"] < figure["high"] or figure["mean"] == 100
        assert figure["stage"] in ("conv1", "conv2", "joined")
    none = probing.probe(sweep / "0", [f"dataset._target_={HERE}.noise"])
    figure = none.metrics["rows"]["model"]["linear"]
    assert figure["low"] < 100 / 3 < figure["high"]


def test_the_stage_is_chosen_on_validation_images_alone(metrics):
    assert list(metrics["stages"]["model"]) == ["conv1", "conv2", "joined"]
    assert list(metrics["stages"]["pixels"]) == ["pixels"]
    assert "knn" not in metrics["stages"]["model"]["joined"]
    for row, stages in metrics["stages"].items():
        for method in ("linear", "knn"):
            best = max(stage[method] for stage in stages.values() if method in stage)
            chosen = metrics["rows"][row][method]
            assert chosen["validation"] == best == stages[chosen["stage"]][method]


def test_the_table_fits_80_columns_and_ends_with_the_folder(sweep, out):
    *lines, last = out.splitlines()
    assert last == str(sweep / "0" / "probe" / "planted")
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("planted, 16 × 16, 3 classes: 240 training images, 120 test images")


def test_beside_cifar10_stands_what_was_published_of_it_and_beside_no_other(metrics):
    def said(**dataset):
        return report.sentences({**metrics, "dataset": {**metrics["dataset"], **dataset}})

    (line,) = set(said(name="cifar10", classes=[str(n) for n in range(10)])) - set(said())
    assert "79.6 %" in line
    assert said(name="cifar10", classes=["cat", "dog"]) == said()


def test_each_images_hits_and_both_pictures_are_there(sweep, metrics):
    folder = Probe(sweep / "0" / "probe" / "planted")
    hits = folder.per_image("model")
    assert hits["model.linear"].mean() == pytest.approx(metrics["rows"]["model"]["linear"]["mean"])
    assert set(np.unique(hits["model.linear"])) <= {0, 100}
    assert Image.open(folder.confusion).width > 200
    assert Image.open(folder.neighbours).width > 1000


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([f"dataset._target_={HERE}.unlabelled"], "its images have no labels"),
        ([f"dataset._target_={HERE}.lopsided"], "dataset: no test images of class checks"),
        (
            ["--stages", "conv7"],
            "no such stage; expected all, or some of conv1, conv2",
        ),
        (["--finetune", "--labels", "2"], "--labels 2: expected numbers above 0 and up to 1"),
        (["--pool", "0"], "--pool 0: must be 1 or more"),
        (["mask=center"], "mask=center: the generator is trained; only"),
        (["--name", "a/b"], "--name a/b: expected the name of one folder"),
    ],
)
def test_bad_input_is_one_line(sweep, refused, arguments, line):
    before = sorted(sweep.glob("0/probe/*"))
    error = refused(*arguments)
    assert error.startswith("ctxenc.probe: ")
    assert line in error
    assert len(error.splitlines()) == 1
    assert sorted(sweep.glob("0/probe/*")) == before


def test_one_class_is_too_few(sweep):
    one = MemoryImages(np.zeros((4, 8, 8, 3), np.uint8), lambda: Labels(np.zeros(4, int), ("a",)))
    with pytest.raises(ctxenc.UserError, match=r"^dataset: one class, a; expected two or more$"):
        labelled.labelled(Dataset("one", one, one, one), 8, 4)


def test_a_sweep_is_probed_once_and_its_controls_are_judged_once(sweep, monkeypatch):
    probing._known.cache_clear()
    judged, counted = probing.judged, []

    def counting(encoder, what, *others):
        counted.append(what)
        return judged(encoder, what, *others)

    monkeypatch.setattr(probing, "judged", counting)
    text = printed("probe", sweep, "--stages", "conv2")
    assert sorted(counted) == ["pixels", *["random weights"] * 3, *["this encoder"] * 3]
    assert "3 of 3 runs probed" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    counted.clear()
    again = started("probe", sweep, "--stages", "conv2")
    assert counted == []
    assert "probed already" in again.stderr


def test_figures_over_seeds_are_their_mean_with_an_interval(sweep):
    probes = [probing.probe(sweep / str(seed), stages="conv2") for seed in range(3)]
    found = several.over_seeds(probes, "model")["linear"]
    means = [p.metrics["rows"]["model"]["linear"]["mean"] for p in probes]
    assert found["mean"] == pytest.approx(np.mean(means))
    assert found["low"] < found["mean"] < found["high"]


def test_comparisons_have_the_figures_as_columns(sweep, out, tmp_path):
    for seed in (1, 2):
        probing.probe(sweep / str(seed))
    table = printed("compare", sweep, "--columns", "probe.linear", "--group-by", "none")
    assert "linear probe %" in table
    found = json.loads(printed("compare", sweep, "--format", "json", "--sort", "probe.linear"))
    row = found["tables"][0]["rows"][0]
    means = [
        Probe(sweep / str(s) / "probe" / "planted").metrics["rows"]["model"]["linear"]["mean"]
        for s in range(3)
    ]
    assert row["probe.linear"] == pytest.approx(np.mean(means))
    best = printed("compare", sweep, "--filter", f"probe.linear>={max(means)}", "--format", "csv")
    assert str(means.index(max(means))) in best
    frame = ctxenc.runs(sweep)
    np.testing.assert_allclose(frame["probe.linear"].to_numpy(float), means)
    page = tmp_path / "page.html"
    printed("compare", sweep, "--html", page, "--group-by", "none")
    assert "test linear probe %" in page.read_text()


def test_figures_of_unlike_stages_are_not_put_in_one_column(sweep, out):
    probing.probe(sweep / "1")
    shutil.rmtree(sweep / "2" / "probe", ignore_errors=True)
    probing.probe(sweep / "2", stages="conv1")
    text = printed("compare", sweep, "--group-by", "none")
    assert "No probe figures: 1 probed on other images or stages than the rest." in text
    probed = [record.probed.on[3] for record in records.load([sweep])]
    assert probed == ["all", "all", "conv1"]


def test_a_probe_of_before_stages_were_joined_is_done_anew_and_is_not_put_beside_others(sweep, out):
    for seed in (1, 2):
        earlier = probing.probe(sweep / str(seed), keep=lambda probe: True)
    options = {k: v for k, v in earlier.metrics["options"].items() if k != "joined"}
    changed = earlier.metrics | {"options": options}
    (earlier.path / "metrics.json").write_text(json.dumps(changed))
    text = printed("compare", sweep, "--group-by", "none")
    assert "No probe figures: 1 probed on other images or stages than the rest." in text
    again = probing.probe(sweep / "2", keep=lambda probe: True)
    assert again.metrics["options"] != options


def test_another_runs_encoder_stands_beside(sweep):
    found = probing.probe(sweep / "0", beside=[sweep / "1"], name="beside").metrics
    assert list(found["rows"]) == ["model", "random", "1", "pixels"]
    assert found["rows"]["1"]["linear"]["mean"] > 50
    assert "1" in found["model_minus"]
    (beside,) = found["options"]["beside"]  # by its place and weights: these may change
    assert beside["run"] == str(sweep / "1")
    assert beside["step"] == TrainedModel.load(sweep / "1").step


def test_runs_beside_are_called_by_as_much_of_their_paths_as_tells_them_apart(tmp_path):
    runs = [tmp_path / "a" / "0-seed=0", tmp_path / "b" / "0-seed=0", tmp_path / "random"]
    titled = probing._titled(runs)
    assert list(titled) == ["0-seed=0", "b_0-seed=0", f"{tmp_path.name}_random".replace(",", "_")]
    assert list(titled.values()) == runs
    with pytest.raises(UserError, match=r"--beside .*random: named twice"):
        probing._titled([tmp_path / "random", tmp_path / "a" / ".." / "random"])


def test_fine_tuning_trains_the_encoder_and_learns(sweep, monkeypatch):
    monkeypatch.setattr(finetune, "LEAST_STEPS", 60)
    monkeypatch.setattr(finetune, "RATE", 1e-2)
    trained = TrainedModel.load(sweep / "0")
    images, *_ = labelled.load(trained, [])
    tuned = finetune.tuned(trained.model, trained.variables, images, 0.5, 0, lambda *_: None)
    right = tuned.predict(images.test.images, 32) == images.test.numbers
    assert right.mean() > 0.8
    before = trained.variables["params"]["Conv_0"]["kernel"]
    assert np.abs(tuned.weights["params", "Conv_0", "kernel"] - before).max() > 1e-3
    assert not any("ConvTranspose" in name for path in tuned.weights for name in path)
    monkeypatch.setattr(finetune, "LEAST_STEPS", 3)
    monkeypatch.setattr(finetune, "EPOCHS", 0)
    found = probing.probe(sweep / "0", finetune=["0.1"], name="tuned")
    assert list(found.metrics["rows"]["model"]) == ["linear", "knn", "finetune_10"]
    assert list(found.metrics["rows"]["pixels"]) == ["linear", "knn"]


def test_the_labelled_share_is_of_each_class_and_the_same_for_a_seed():
    numbers = np.repeat([0, 1, 2], [100, 40, 3])
    chosen = finetune.subset(numbers, 0.1, seed=0)
    assert np.bincount(numbers[chosen]).tolist() == [10, 4, 1]
    np.testing.assert_array_equal(chosen, finetune.subset(numbers, 0.1, seed=0))
    assert not np.array_equal(chosen, finetune.subset(numbers, 0.1, seed=1))
    assert len(finetune.subset(numbers, 1.0, seed=0)) == len(numbers)
