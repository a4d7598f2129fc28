"""What holds of every network here: float32 variables, and one line where it cannot work."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc.errors import UserError
from ctxenc.models.alexnet import SMALLEST, AlexNetGenerator
from ctxenc.models.discriminator import Discriminator
from ctxenc.models.generator import Generator
from ctxenc.models.paper import PaperDiscriminator, PaperGenerator

SMALL = {"output_size": (8, 8), "widths": (4, 6), "decoder_widths": (6, 5)}


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (Generator(**SMALL), 16),
        (Generator((16, 16), (4, 6), (6, 4), skips=True), 16),
        (PaperGenerator(**SMALL, bottleneck=6), 16),
        (Discriminator(widths=(4, 6)), 8),
        (PaperDiscriminator(widths=(3, 4)), 8),
    ],
)
def test_bfloat16_computes_what_float32_does_and_keeps_its_variables(network, size):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (8, size, size, 3)).astype(np.float32)
    like = jax.eval_shape(partial(network.init, train=True), jax.random.key(0), x)
    drawn = jax.tree.map(lambda leaf: rng.uniform(0.1, 0.3, leaf.shape).astype(np.float32), like)

    @jax.jit
    def run(variables, x):
        apply = {"train": True, "mutable": ["batch_stats"]}
        y32, _ = network.apply(variables, x, **apply)
        return y32, *network.clone(dtype=jnp.bfloat16).apply(variables, x, **apply)

    y32, y16, statistics = run(drawn, x)
    assert y16.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((like, statistics))} == {jnp.dtype("float32")}
    assert float(y32.std()) > 0
    assert 0 < float(jnp.abs(y16 - y32).max()) < 0.2 * float(jnp.abs(y32).max())


def generator(**options):
    return Generator(**{"output_size": (16, 16), **options}), (32, 32)


def paper(image=(128, 128), **options):
    return PaperGenerator(**{"output_size": (64, 64), **options}), image


def alexnet(size=227, **options):
    return AlexNetGenerator(output_size=(size, size), **options), (size, size)


REFUSED = {
    "mask_height=15: expected a multiple of 4, as the model's decoder doubles 2 times": generator(
        output_size=(15, 16)
    ),
    "mask_width=2: expected a multiple of 4": generator(output_size=(16, 2)),
    "image_size=30: expected a multiple of 8, as the model's encoder halves 3 times": (
        Generator(output_size=(16, 16)),
        (30, 32),
    ),
    "model.generator.decoder_widths=[512, 256]: must start with 8": generator(widths=(8,)),
    "model.generator.widths=[]: expected one or more numbers": generator(widths=()),
    "model.generator.decoder_widths=[]: expected": generator(decoder_widths=()),
    "model.generator.bottleneck=0: expected null, or 1 or more": generator(bottleneck=0),
    "model.generator.mix_channels=true: must be false with a bottleneck": generator(
        bottleneck=1, mix_channels=True
    ),
    "model.generator.skips=true: must be false where the hole alone is predicted": generator(
        skips=True
    ),
    "model.generator.decoder_widths=[512, 256]: expected 3 numbers": generator(
        skips=True, output_size=(32, 32)
    ),
    "model.generator.blocks=[1, -1, 0]: expected none, or 3 numbers": generator(blocks=(1, -1, 0)),
    "model.generator.blocks=[1]: expected none, or 3 numbers": generator(blocks=(1,)),
    "model.generator.upsample=up: expected deconv or resize_conv": generator(upsample="up"),
    "image_size=120: expected a multiple of 32": paper((120, 128)),
    "mask_height=56: expected a multiple of 16": paper(output_size=(56, 64)),
    "mask_width=8: expected a multiple of 16": paper(output_size=(64, 8)),
    "image_size=48: expected a multiple of 32, as the model's decoder": paper(
        (48, 48), output_size=(48, 48), widths=(8,), decoder_widths=(8,) * 5
    ),
    "model.generator.decoder_widths=[4, 0]: expected": paper(decoder_widths=(4, 0)),
    "model.generator.bottleneck=-1: expected 1 or more": paper(bottleneck=-1),
    "image_size=98: expected 99 or more": alexnet(SMALLEST - 1),
    "model.generator.widths=[96, 256]: expected 5 numbers": alexnet(widths=(96, 256)),
    "model.generator.widths=[6, 6, 3, 4, 8]: must be even": alexnet(widths=(6, 6, 3, 4, 8)),
    "model.generator.decoder_widths=[1, 2]: expected 4 numbers": alexnet(decoder_widths=(1, 2)),
    "model.discriminator.widths=[]: expected": (PaperDiscriminator(widths=()), (16, 16)),
    "model.discriminator.widths=[4, 0]: expected": (PaperDiscriminator(widths=(4, 0)), (16, 16)),
    "model.discriminator.widths=[0]: expected": (Discriminator(widths=(0,)), (16, 16)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(message):
    network, size = REFUSED[message]
    with pytest.raises(UserError) as refused:
        jax.eval_shape(
            partial(network.init, train=True), jax.random.key(0), jnp.zeros((2, *size, 3))
        )
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_image_cannot_be_normalised_over_the_batch():
    network, x = PaperGenerator(**SMALL, bottleneck=6), jnp.zeros((1, 16, 16, 3))
    jax.eval_shape(partial(network.init, train=False), jax.random.key(0), x)
    with pytest.raises(UserError, match="batch_size=1: expected 2 or more"):
        jax.eval_shape(partial(network.init, train=True), jax.random.key(0), x)
