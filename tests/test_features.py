"""An encoder's stages: named by the network, whole images, and the decoder left out."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import features, masks, step
from ctxenc.config import build
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from tests.tiny import TINY


def made(*overrides):
    config = check(compose([*TINY, *overrides]))
    model = build.model(config)
    return model, step.init(model, jax.random.key(0), config.image_size).generator.variables


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ((), "conv1 conv2"),
        (("model=residual",), "conv1 conv2"),
        (("model.generator.bottleneck=3",), "conv1 conv2 bottleneck"),
        (("model=paper_center", "model.generator.bottleneck=5"), "conv1 conv2 bottleneck"),
    ],
)
def test_stages_are_named_first_to_last_and_halve_the_image(overrides, names):
    sizes = ("model.generator.widths=[4,8]", "model.generator.decoder_widths=[8]")
    model, variables = made(*overrides, *sizes, "mask_channel=true")
    assert " ".join(features.names(model, variables, 16)) == names
    found = features.stages(model, variables, jnp.zeros((3, 16, 16, 3)))
    assert found["conv1"].shape == (3, 8, 8, 4)
    assert found["conv2"].shape == (3, 4, 4, 8)


def test_alexnets_stages_are_called_as_in_caffe():
    small = "model.generator.widths=[4,4,4,4,4]", "model.generator.decoder_widths=[4,4,4,4]"
    model, variables = made("model=alexnet", "predict=image", "image_size=99", *small)
    names = features.names(model, variables, 99)
    assert names == ("pool1", "pool2", "conv3", "conv4", "pool5")


def test_the_first_stage_is_the_whole_image_through_the_first_layer(images):
    model, variables = made()
    seen = masks.to_float(images)
    kernel, bias = (variables["params"]["Conv_0"][name] for name in ("kernel", "bias"))
    convolved = jax.lax.conv_general_dilated(
        seen, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = nn.relu(convolved + bias) / jnp.sqrt(1 + 1e-3)  # fresh statistics: 0 and 1
    found = features.stages(model, variables, seen)["conv1"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.max() > 0.01


def test_training_stages_are_normalised_by_their_own_batch(images):
    model, variables = made()
    maps, stats = features.training_stages(model, variables, masks.to_float(images))
    np.testing.assert_allclose(maps["conv1"].mean((0, 1, 2)), 0, atol=1e-5)
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max(), stats, variables["batch_stats"])
    assert changed["BatchNorm_0"]["BatchNorm_0"]["mean"] > 0


def test_the_encoders_variables_are_those_that_a_stage_depends_on():
    model, variables = made()
    own = features.encoder(model, variables, 16, ("conv1", "conv2"))
    assert {path[:2] for path in own} == {
        *(("params", f"Conv_{n}") for n in (0, 1)),
        *((kind, f"BatchNorm_{n}") for n in (0, 1) for kind in ("params", "batch_stats")),
    }
    assert {path[1] for path in features.encoder(model, variables, 16, ("conv1",))} == {
        "Conv_0",
        "BatchNorm_0",
    }
    blank = jax.tree.map(jnp.zeros_like, variables)
    images = jnp.full((2, 16, 16, 3), 0.3)
    given = features.stages(model, features.completed(own, blank), images)
    whole = features.stages(model, variables, images)
    jax.tree.map(np.testing.assert_array_equal, given, whole)


def test_a_generator_without_stages_is_one_line():
    class Plain(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return nn.Dense(3)(x)

    model, _ = made()
    model = dataclasses.replace(model, generator=Plain())
    variables = model.generator.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)
    with pytest.raises(UserError, match="Plain: names no stages"):
        features.names(model, variables, 8)
