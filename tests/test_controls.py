"""The controls of feature learning: an autoencoder, and a network trained with labels."""

import dataclasses
import json
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ctxenc import launch, losses, step
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.data import cifar10
from ctxenc.errors import UserError
from ctxenc.evaluation.evaluate import evaluate
from ctxenc.experiment import Experiment
from ctxenc.models.label_head import LabelHead
from ctxenc.report import grids
from ctxenc.run_folder import checkpoints
from ctxenc.run_folder.folder import Run
from ctxenc.trained import TrainedModel
from tests.data import cifar_archive
from tests.faults.ends import assert_same
from tests.programs import program
from tests.tiny import TINY, hyper, tiny_model

COLOURS = {"blue": 2, "green": 1, "red": 0}  # the channel that is brighter
SIDE = 16
SMALL = (
    *("model.generator.widths=[4,8,8]", "model.generator.decoder_widths=[8,4,4]"),
    *("image_size=16", "batch_size=8", "precision=float32", "num_img=3"),
    *("max_steps=4", "eval_every=2", "n_update=4", "log_every=2"),
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar10")
    (folder / cifar10.ARCHIVE).write_bytes(cifar_archive.archive())
    return folder


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """A folder of noise in three classes, each brighter in its own channel."""
    folder, random = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    for name, channel in COLOURS.items():
        (folder / name).mkdir()
        for number in range(60):
            pixels = random.integers(0, 128, (SIDE, SIDE, 3), np.uint8)
            pixels[..., channel] += 60
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def labelled(folder, *others):
    data = ("dataset=folder", f"dataset.path={folder}")
    return (*TINY, "mask=whole", "loss=labels", "lambda_rec=0", *data, "batch_size=16", *others)


def recipe(name, archive):
    printed = program("train", f"+experiment={name}", f"dataset.data_dir={archive}", *SMALL)
    return Run(printed.splitlines()[-1])


def rows_of_grid(run, at):
    """The rows of a sample grid, of tiles without their gaps."""
    with Image.open(run.sample(at)) as picture:
        bare = np.asarray(grids.bare(picture))
    scale = -(-grids.SMALLEST_TILE // SIDE)
    small = bare[::scale, ::scale]
    tops = range(grids.GAP, len(small) - 1, SIDE + grids.GAP)
    return [small[top : top + SIDE] for top in tops]


@pytest.mark.parametrize("name", ["autoencoder", "supervised"])
def test_a_control_runs_from_its_recipe_and_everything_else_takes_it(name, archive, tmp_path):
    run = recipe(name, archive)
    assert run.status["state"] == "finished"
    assert run.summary["baselines"] == {}
    assert run.curves.exists()
    assert run.dataset["missing"] == {"least": 100.0, "mean": 100.0, "most": 100.0}
    real, given, predicted = rows_of_grid(run, 4)
    np.testing.assert_array_equal(real, given)
    assert (real != predicted).any()
    for line in run.lines("validation"):
        assert ("label_accuracy" in line) == (name == "supervised")
        assert 0 < line["psnr_db"] < 40
    logged = run.lines("train")[-1].keys()
    assert ({"label_loss", "label_accuracy"} <= logged) == (name == "supervised")
    assert run.dataset.get("classes") == (list(cifar10.NAMES) if name == "supervised" else None)
    with pytest.raises(UserError, match=r"100 % of the test images .* mask=center") as raised:
        evaluate(run.path, against="none")
    assert "\n" not in str(raised.value)
    printed = program("evaluate", run.path, "mask=center", "--baselines", "harmonic")
    figures = json.loads((run.path / "evaluation/cifar10-center/metrics.json").read_text())
    assert figures["missing"]["mean"] == 25.0
    assert "harmonic" in printed
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save("photo.png")
    program("inpaint", run.path, "photo.png", "--box", "10,10,12,12", "-o", "filled.png")
    with Image.open("filled.png") as filled:
        changed = (np.asarray(filled) != pixels).any(-1)
    assert changed[10:22, 10:22].any()
    assert not changed[:10].any()
    program("export", run.path, "-o", "model")
    assert "whole" in program("compare", run.path)


def test_outside_of_training_an_autoencoder_is_not_shown_what_it_fills(archive):
    trained = TrainedModel.load(recipe("autoencoder", archive).path)
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    images[1] = images[0]
    images[1, 4:12, 4:12] = 0  # the two differ in the hole alone
    mask = np.zeros((2, SIDE, SIDE, 1), np.float32)
    mask[:, 4:12, 4:12] = 1
    filled = step.fill(trained.model, trained.variables, images, mask, trained.fill_value)
    np.testing.assert_array_equal(filled[0], filled[1])


def test_an_autoencoder_learns_to_give_back_what_it_is_shown(coloured):
    data = ("dataset=folder", f"dataset.path={coloured}", "batch_size=16", "learning_rate_g=1e-2")
    options = ("mask=whole", "loss=reconstruction", "max_steps=60", "eval_every=20")
    run = launch.run(*TINY, *data, *options, "n_update=60")
    psnr = [line["psnr_db"] for line in run.lines("validation")]
    assert psnr[-1] > psnr[0] + 1


def test_a_network_learns_the_classes_of_a_folder_and_its_best_step_is_by_them(coloured):
    options = ("learning_rate_g=5e-3", "max_steps=60", "eval_every=10", "n_update=60")
    run = launch.run(*labelled(coloured, *options, "monitor=label_accuracy", "ema_decay=0.9"))
    lines = run.lines("validation")
    found = [line["label_accuracy"] for line in lines]
    assert found[-1] > 0.9  # of three classes, by chance a third
    assert run.dataset["classes"] == list(COLOURS)
    assert run.summary["last"]["label_accuracy"] == found[-1]
    assert run.summary["best"]["label_accuracy"] == max(found)
    best = checkpoints.best_step(run.checkpoints)
    assert {line["step"]: line["label_accuracy"] for line in lines}[best] == max(found)
    losses_by_step = [line["label_loss"] for line in run.lines("train")]
    assert losses_by_step[-1] < losses_by_step[0]


def test_a_stopped_run_with_labels_ends_as_one_that_was_never_stopped(coloured):
    options = labelled(coloured, "ema_decay=0.9", "eval_every=3", "log_every=4", "n_update=5")
    undisturbed = launch.run(*options, "max_steps=12")
    stopped = launch.run(*options, "max_steps=6")
    resumed = launch.run(f"resume={stopped.path}", "max_steps=12")
    assert_same(resumed, undisturbed)
    assert (
        resumed.summary["last"]["label_accuracy"] == undisturbed.summary["last"]["label_accuracy"]
    )


def test_other_classes_are_refused_on_resuming(coloured):
    run = launch.run(*labelled(coloured, "max_steps=2", "eval_every=2", "n_update=2"))
    described = {**run.dataset, "classes": ["blue", "green", "yellow"]}
    (run.path / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"the data is not what it was trained on: classes"):
        launch.run(f"resume={run.path}", "max_steps=4")


@pytest.fixture
def ready(coloured):
    experiment = Experiment.of(check(compose(labelled(coloured))))
    state = step.init(experiment.model, experiment.key, SIDE)
    images = np.stack([experiment.dataset.train[n] for n in range(16)])
    return experiment, state, images, experiment.labels[0].numbers[:16].astype(np.int32)


def changed(before, after):
    """The names of the arrays that are not what they were."""
    leaves = zip(*map(jax.tree_util.tree_leaves_with_path, (before, after)), strict=True)
    return {jax.tree_util.keystr(path) for (path, a), (_, b) in leaves if (a != b).any()}


def test_the_label_term_trains_the_encoder_and_the_head_alone(ready):
    experiment, state, images, labels = ready
    numbers = hyper(lambda_rec=0.0, lambda_adv=0.0, lambda_label=1.0, learning_rate_g=1e-2)
    before = jax.tree.map(jnp.copy, state)
    after, logged = step.train_step(
        experiment.model, state, images, numbers, experiment.key, labels
    )
    trained = changed(before.generator.params, after.generator.params)
    assert {name.split("'")[1] for name in trained} == {
        *("Conv_0", "Conv_1", "BatchNorm_0", "BatchNorm_1")
    }
    assert len(changed(before.head.params, after.head.params)) == 2  # kernel and bias
    assert logged["generator_loss"] == logged["label_loss"]
    assert 0 <= logged["label_accuracy"] <= 1
    np.testing.assert_allclose(logged["label_loss"], np.log(3), atol=0.6)  # knows nothing yet


def test_it_is_a_term_beside_the_others(ready):
    experiment, state, images, labels = ready
    numbers = hyper(lambda_rec=2.0, lambda_adv=0.0, lambda_label=0.5)
    _, logged = step.train_step(experiment.model, state, images, numbers, experiment.key, labels)
    weighed = 2 * logged["reconstruction_loss"] + 0.5 * logged["label_loss"]
    np.testing.assert_allclose(logged["generator_loss"], weighed, rtol=1e-6)


def test_the_cross_entropy_is_that_of_the_labels_softmax():
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    labels = np.array([0, 3, 1, 1, 2], np.int32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(5), labels]).mean()
    np.testing.assert_allclose(
        losses.cross_entropy(jnp.asarray(logits), jnp.asarray(labels)), expected, rtol=1e-6
    )


def test_a_control_may_begin_with_a_context_encoders_weights(coloured):
    data = ("dataset=folder", f"dataset.path={coloured}", "batch_size=16")
    options = (*TINY, *data, "mask=random", "predict=image", "loss=reconstruction")
    first = launch.run(*options, "max_steps=2", "eval_every=2", "n_update=2")
    config = check(compose([*labelled(coloured), f"init_from={first.path}"]))
    begun = Experiment.of(config).warm_start
    assert re.search(r"generator: \d+ of \d+ arrays taken$", begun.lines[1])


def test_images_of_one_class_are_refused(archive):
    data = ("dataset=cifar10_cats", f"dataset.data_dir={archive}", "mask=whole", "loss=labels")
    with pytest.raises(UserError, match="cifar10: its images are of one class, cat; expected two"):
        Experiment.of(check(compose([*TINY, *data, "batch_size=8"])))


class Blind(nn.Module):
    """A generator of one's own that names no stages."""

    @nn.compact
    def __call__(self, x, *, train):
        return jnp.tanh(nn.Dense(3)(x[:, 4:12, 4:12, :3]))


def test_a_generator_that_names_no_stages_is_refused():
    head, loss = LabelHead(3), losses.Loss(losses.l2, label=losses.cross_entropy)
    model = tiny_model(adversarial=False)
    model = dataclasses.replace(model, generator=Blind(), loss=loss, label_head=head)
    with pytest.raises(UserError, match=r"^Blind: names no stages; expected a generator that"):
        step.init(model, jax.random.key(0), SIDE)
