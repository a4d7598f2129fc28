"""Masks, losses and networks in every combination: each builds and trains for two steps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ctxenc import step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.config.search_path import choices
from ctxenc.errors import UserError
from ctxenc.experiment import Experiment
from tests.tiny import every_term, hyper

# Each model's smallest sizes: image, hole, and the lists of its channels.
SMALL = {
    "cifar": (16, 8, "4,8", "8", "4,8"),
    "cifar_half": (16, 8, "4,8", "8", "4,8"),
    "tf_original": (16, 8, "4,8", "8", "4,8"),
    "paper_center": (16, 8, "4,8", "8", "4,8"),
    "paper_random": (16, 8, "4,8", "8,4", "4,8"),
    "paper_random_64": (16, 8, "4,8", "8,4", "4,8"),
    "residual": (16, 8, "4,8", "8", "4,8"),
    "unet": (16, 8, "4,8", "8,4", "4,8"),
    "resnet": (16, 8, "4,8", "8,4", "4,8"),
    "photographs": (16, 8, "4,8", "8,4", "4,8"),
    "alexnet": (99, 48, "4,4,4,4,4", "4,4,4,4", "4,4,8"),
}
NETWORKS = sorted(choices("model").keys() - {"cifar_half"})  # here it would be cifar once more
EVERY = list(itertools.product(choices("mask"), choices("loss"), NETWORKS))
CYCLES = [itertools.cycle(choices(group)) for group in ("mask", "loss", "model")]
SOME = list(itertools.islice(zip(*CYCLES, strict=True), 10))  # each choice at least once


@pytest.fixture(scope="session")
def label_maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label_maps")
    labels = np.kron(np.array([[1, 2], [3, 4]], np.uint8), np.ones((20, 20), np.uint8))
    Image.fromarray(labels).save(folder / "four.png")
    return folder


# Of a thousand masks, one is a frame: none of the 64 that are looked at.
RARE = ["mask=mixture", "predict=hole", "+mask@mask.parts.center=center"]
RARE += ["+mask.weights.center=1000", "mask.weights.blocks=0", "mask.weights.freeform=0"]


def small(mask, loss, model, label_maps):
    size, hole, widths, decoder, judging = SMALL[model]
    overrides = [f"mask={mask}", f"loss={loss}", f"model={model}", f"image_size={size}"]
    overrides += [f"mask_height={hole}", f"mask_width={hole}", "batch_size=2"]
    overrides += [f"model.generator.widths=[{widths}]", f"model.discriminator.widths=[{judging}]"]
    overrides += [f"model.generator.decoder_widths=[{decoder}]"]
    if model == "resnet":
        overrides.append("model.generator.blocks=[1,1]")
    if model in ("unet", "resnet"):
        overrides.append("predict=image")
    elif model not in ("cifar", "cifar_half", "residual", "photographs", "alexnet"):
        overrides.append("model.generator.bottleneck=8")
    if mask == "segments":
        overrides.append(f"mask.folder={label_maps}")
    return check(compose(overrides))


def two_steps(config):
    classes = 3 if config.loss.get("label") else 0
    model, size = build.model(config, classes), config.image_size
    rates = hyper(**every_term(0.1))
    labels = jnp.array([0, 2]) if classes else None

    @jax.jit
    def run(images, key):
        def one(state, _):
            return step.train_step.__wrapped__(model, state, images, rates, key, labels)

        return jax.lax.scan(one, step.init.__wrapped__(model, key, size), length=2)

    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    state, logged = run(images, jax.random.key(0))
    assert int(state.step) == 2
    assert bool(step.finite(state))
    missing = logged["masked_fraction"]
    assert ((missing > 0) & (missing < 1)).all() if model.geometry.hides else (missing == 1).all()
    for name, values in logged.items():
        assert np.isfinite(values).all(), name
        assert (values != 0).any() or "accuracy" in name, name


@pytest.mark.parametrize(("mask", "loss", "model"), SOME)
def test_each_choice_trains(mask, loss, model, label_maps):
    two_steps(small(mask, loss, model, label_maps))


@pytest.mark.slow
@pytest.mark.parametrize(("mask", "loss", "model"), EVERY)
def test_every_combination_trains(mask, loss, model, label_maps):
    two_steps(small(mask, loss, model, label_maps))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mask=region", "predict=hole"], "mask: expected one box"),
        (["mask=region", "discriminator_input=hole"], "mask: expected one box"),
        (["mask=region", "overlap=0.1"], r"overlap=0\.1: must be 0, as a prediction of"),
        (
            ["predict=image", "overlap=0.1"],
            r"overlap=0\.1: must be 0, as a prediction of",
        ),
        (["overlap=0.49", "mask_height=4"], "overlap=0.49: .* nothing of a box of 4 × 16"),
        (["model=paper_center", "image_size=30"], "image_size=30: expected a multiple of 32"),
        (["model=alexnet"], "image_size=32: "),
        (["overlap=0.03"], r"overlap=0\.03: expected 0, or 0\.0625 or more"),
        (["context_weight=10"], "context_weight=10: must be 1, as nothing visible"),
        (["model=paper_center", "batch_size=1"], "batch_size=1: "),
        (
            ["model.discriminator.spectral_norm=true"],
            "spectral_norm=true: must be false",
        ),
        ([*RARE, "mask.weights.border=1"], "mask: expected one box"),
        (["lambda_seam=0.1"], "lambda_seam=0.1: must be 0, as this loss has no seam term"),
        (["lambda_label=1"], "lambda_label=1: must be 0, as this loss has no label term"),
        (["monitor=label_accuracy"], "monitor=label_accuracy: expected a loss with a label term"),
        (["loss=labels"], "loss.label with the data set photos: its images have no labels"),
        (
            ["loss=reconstruction", "lambda_rec=0"],
            "lambda_rec=0 lambda_adv=0: nothing is left to learn from",
        ),
        (["mask=whole"], "model=residual: adds to what it is given"),
        (["mask=whole", "predict=hole"], "predict=hole: expected image, as the mask covers every"),
        (
            ["mask=whole", "discriminator_input=hole", "model=cifar"],
            "discriminator_input=hole: expected prediction or composite, as the mask covers every",
        ),
        (["mask=whole", "model=cifar", "overlap=0.1"], r"overlap=0\.1: must be 0"),
        ([*RARE, "+mask@mask.parts.all=whole", "+mask.weights.all=0.1"], "mask: .* to 100 % of"),
        (["lambda_r1=1"], "lambda_r1=1: must be 0, as this loss has no gradient_penalty"),
        (
            ["loss=r1", "loss.adversarial=null", "lambda_adv=0"],
            "loss.gradient_penalty: must be null, as there is no disc",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(overrides, message):
    with pytest.raises(UserError, match=message) as refused:
        Experiment.of(check(compose(overrides)))
    assert "\n" not in str(refused.value)
