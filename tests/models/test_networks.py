import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc.config import instantiate
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.config.search_path import choices
from ctxenc.models.discriminator import Discriminator
from ctxenc.models.generator import Generator
from tests.models.counting import count_parameters

KEY = jax.random.key(0)
SMALL = {"widths": (4, 6), "decoder_widths": (6, 5)}


def images(height, width, channels=3, batch=4):
    return jax.random.uniform(jax.random.key(1), (batch, height, width, channels), minval=-1)


def shapes(network, x):
    return jax.eval_shape(partial(network.init, train=True), KEY, x)


def output(network, x, train=True):
    """What a freshly initialised network makes of `x`, and its variables afterwards."""

    @jax.jit
    def run(x):
        variables = network.init(KEY, x, train=train)
        y, updates = network.apply(variables, x, train=train, mutable=["batch_stats"])
        return y, variables | updates

    return run(x)


def test_the_number_of_parameters_is_that_of_the_tensorflow_original():
    generator = Generator(output_size=(16, 16), bottleneck=4000)
    assert count_parameters(shapes(generator, images(32, 32))) == 70_285_347
    assert count_parameters(shapes(Discriminator(), images(16, 16))) == 661_697


CHOICES = {  # image, what is predicted
    "cifar": (32, 16),
    "cifar_half": (32, 16),
    "residual": (32, 16),
    "tf_original": (32, 16),
    "paper_center": (128, 64),
    "paper_random": (128, 128),
    "paper_random_64": (64, 64),
    "alexnet": (227, 227),
    "unet": (32, 32),
    "resnet": (32, 32),
    "photographs": (128, 128),
}


def test_every_choice_in_conf_is_tested_here():
    assert CHOICES.keys() == choices("model").keys()


@pytest.mark.parametrize("choice", sorted(CHOICES))
def test_every_choice_in_conf_makes_networks_that_fit(choice):
    image, size = CHOICES[choice]
    config = check(compose([f"model={choice}"]))
    model = config.model
    generator = instantiate.target(model["generator"], "model.generator")(output_size=(size, size))
    discriminator = instantiate.target(model["discriminator"], "model.discriminator")()
    for network, side, channels, shape in (
        (generator, image, 3 + config.mask_channel, (2, size, size, 3)),
        (discriminator, size, 3, (2,)),
    ):
        hash(network)  # or it could not be a static argument of jit
        run = partial(network.init_with_output, train=True)
        y, _ = jax.eval_shape(
            run, KEY, jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32)
        )
        assert y.shape == shape
    # Each option stands in the file, so that it can be set without a `+`.
    for node, network in ((model["generator"], generator), (model["discriminator"], discriminator)):
        fields = {f.name for f in dataclasses.fields(network)}
        assert node.keys() - {"_target_"} == fields - {*instantiate.GIVEN, *instantiate.FLAX}


def test_cifar_and_tf_original_differ_in_what_joins_encoder_and_decoder():
    cifar, original = (
        shapes(Generator(output_size=(16, 16), bottleneck=bottleneck), images(32, 32))["params"]
        for bottleneck in (None, 4000)
    )
    assert cifar["ChannelwiseDense_0"]["kernel"].shape == (512, 16, 16)
    assert original["Conv_3"]["kernel"].shape == (4, 4, 512, 4000)
    assert original["ConvTranspose_0"]["kernel"].shape == (4, 4, 4000, 512)
    assert cifar["Conv_2"] == original["Conv_2"]


def test_channels_are_mixed_by_a_1x1_convolution():
    generator = Generator(output_size=(16, 16), decoder_widths=(96, 64), mix_channels=True)
    params = shapes(generator, images(32, 32))["params"]
    assert params["Conv_3"]["kernel"].shape == (1, 1, 512, 96)
    assert params["ConvTranspose_0"]["kernel"].shape == (4, 4, 96, 64)
    plain = shapes(Generator(output_size=(16, 16)), images(32, 32))["params"]
    assert params["ChannelwiseDense_0"] == plain["ChannelwiseDense_0"]
    assert "Conv_3" not in plain


def test_residual_blocks_begin_as_the_identity():
    plain, deep = (
        Generator(output_size=(16, 16), **SMALL, blocks=blocks) for blocks in ((), (1, 2))
    )
    x, blocks = images(16, 16), {f"ResidualBlock_{n}" for n in range(3)}
    variables = jax.jit(partial(deep.init, train=False))(KEY, x)
    kept = {
        kind: {name: leaf for name, leaf in variables[kind].items() if name not in blocks}
        for kind in ("params", "batch_stats")
    }
    assert variables["params"].keys() - kept["params"].keys() == blocks
    kernels = [variables["params"]["ResidualBlock_2"][f"Conv_{n}"]["kernel"] for n in (0, 1)]
    assert [kernel.shape for kernel in kernels] == [(3, 3, 6, 6)] * 2
    y = deep.apply(variables, x, train=False)
    np.testing.assert_array_equal(y, plain.apply(kept, x, train=False))


def test_decoders_resize_and_convolve():
    generator = Generator(output_size=(16, 16), upsample="resize_conv")
    params = shapes(generator, images(32, 32))["params"]
    assert [params[f"ResizeConv_{i}"]["kernel"].shape for i in range(2)] == [
        (3, 3, 512, 256),
        (3, 3, 256, 3),
    ]
    assert "ConvTranspose_0" not in params


def test_skips_carry_what_the_bottleneck_does_not():
    """With a channel-wise layer of zeros nothing else leads from the input to the output."""
    x = images(16, 16)
    for skips in (False, True):
        generator = Generator((16, 16), (4, 6), (6, 4), skips=skips)
        variables = generator.init(KEY, x, train=False)
        joining = jax.tree.map(jnp.zeros_like, variables["params"]["ChannelwiseDense_0"])
        closed = variables | {"params": variables["params"] | {"ChannelwiseDense_0": joining}}
        slope = jax.grad(lambda x, g=generator, v=closed: g.apply(v, x, train=False)[0].sum())(x)
        assert (float(jnp.abs(slope[0]).max()) > 0) == skips


def test_a_self_ensemble_is_the_mean_of_both_ways_round_outside_of_training():
    x, plain = images(16, 16), Generator((8, 8), **SMALL)
    variables = plain.init(KEY, x, train=False)
    variables["params"] = jax.tree.map(lambda leaf: 3 * leaf, variables["params"])
    ensemble = plain.clone(self_ensemble=True)

    def predicted(network, x, **options):
        return network.apply(variables, x, **options)

    as_it_is, mirrored = (predicted(plain, x, train=False) for x in (x, x[:, :, ::-1]))
    assert float(jnp.abs(as_it_is - mirrored[:, :, ::-1]).max()) > 0.1
    found = predicted(ensemble, x, train=False)
    np.testing.assert_allclose(found, (as_it_is + mirrored[:, :, ::-1]) / 2, atol=1e-6)
    training = [predicted(n, x, train=True, mutable=["batch_stats"])[0] for n in (plain, ensemble)]
    np.testing.assert_array_equal(*training)
    stages = [predicted(n, x, train=False, mutable=["stages"])[1] for n in (plain, ensemble)]
    jax.tree.map(np.testing.assert_array_equal, *stages)  # of the images alone, not mirrored too


@pytest.mark.parametrize("bottleneck", [None, 7])
@pytest.mark.parametrize(("image", "hole"), [((16, 16), (8, 8)), ((16, 24), (4, 12))])
def test_generator_makes_the_hole(image, hole, bottleneck):
    generator = Generator(output_size=hole, bottleneck=bottleneck, **SMALL)
    run = partial(generator.init_with_output, train=True)
    y, _ = jax.eval_shape(run, KEY, images(*image))
    assert (y.shape, y.dtype) == ((4, *hole, 3), jnp.float32)


def test_generator_stays_between_black_and_white():
    y, _ = output(Generator(output_size=(8, 8), **SMALL), 100 * images(16, 16))
    assert float(jnp.abs(y).max()) <= 1
    assert float(y.std()) > 0


def test_generator_takes_more_channels():
    shape = shapes(Generator(output_size=(8, 8), **SMALL), images(16, 16, channels=4))
    assert shape["params"]["Conv_0"]["kernel"].shape == (4, 4, 4, 4)


def test_widths_follow_the_options():
    generator = Generator(output_size=(16, 16), widths=(4, 6, 8), decoder_widths=(8, 3, 2))
    params = shapes(generator, images(32, 32))["params"]
    encoder = [params[f"Conv_{i}"]["bias"].shape[0] for i in range(3)]
    decoder = [params[f"ConvTranspose_{i}"]["bias"].shape[0] for i in range(3)]
    assert (encoder, decoder) == ([4, 6, 8], [3, 2, 3])
    params = shapes(Discriminator(widths=(5, 7)), images(16, 16))["params"]
    assert [params[f"Conv_{i}"]["bias"].shape[0] for i in range(2)] == [5, 7]
    assert params["Dense_0"]["kernel"].shape == (4 * 4 * 7, 1)


def test_discriminator_gives_logits():
    x = images(8, 8)
    y, variables = output(Discriminator(widths=(4, 6)), x)
    assert (y.shape, y.dtype) == ((4,), jnp.float32)
    # A shift of the last bias shifts the output as much: nothing squashes it.
    bias = variables["params"]["Dense_0"]["bias"]
    shifted = variables["params"] | {
        "Dense_0": variables["params"]["Dense_0"] | {"bias": bias + 100}
    }
    network = Discriminator(widths=(4, 6))
    run = partial(network.apply, train=True, mutable=["batch_stats"])
    z, _ = jax.jit(run)(variables | {"params": shifted}, x)
    np.testing.assert_allclose(z, y + 100, rtol=1e-5)


def test_batch_norm_learns_in_training_only():
    network = Discriminator(widths=(4,))
    _, trained = output(network, images(8, 8))
    _, evaluated = output(network, images(8, 8), train=False)
    before = evaluated["batch_stats"]["BatchNorm_0"]["BatchNorm_0"]
    after = trained["batch_stats"]["BatchNorm_0"]["BatchNorm_0"]
    np.testing.assert_array_equal(before["mean"], np.zeros(4))
    assert float(jnp.abs(after["mean"]).max()) > 0
    # Momentum 0.9: one batch moves the variance a tenth of the way from 1 to nearly 0.
    assert 0.9 < float(after["var"].max()) < 0.91
