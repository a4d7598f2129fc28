from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ctxenc.models.paper import PaperDiscriminator, PaperGenerator
from ctxenc.ops import LAYOUT
from tests.models.counting import count_parameters

KEY = jax.random.key(0)
SMALL = {"widths": (3, 4), "decoder_widths": (5, 4), "bottleneck": 6}

# Weights of a 4×4 kernel from a to b channels; gain, bias, mean and variance of a normalisation.
KERNEL, NORM = 16, 4


def shapes(network, *shape):
    """(output, variables), as shapes."""
    return jax.eval_shape(partial(network.init_with_output, train=True), KEY, jnp.zeros(shape))


def test_the_number_of_parameters_of_the_centre_model():
    y, variables = shapes(PaperGenerator(output_size=(64, 64)), 2, 128, 128, 3)
    encoder = KERNEL * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    encoder += NORM * (64 + 128 + 256 + 512)
    bottleneck = KERNEL * 512 * 4000 + NORM * 4000
    decoder = KERNEL * (4000 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    decoder += NORM * (512 + 256 + 128 + 64)
    assert count_parameters(variables) == encoder + bottleneck + decoder == 71_136_384
    assert y.shape == (2, 64, 64, 3)


def test_the_number_of_parameters_of_its_discriminator():
    y, variables = shapes(PaperDiscriminator(), 2, 64, 64, 3)
    kernels = KERNEL * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1)
    assert count_parameters(variables) == kernels + NORM * (128 + 256 + 512) == 2_767_360
    assert y.shape == (2,)


def test_whole_images_of_128_pixels_have_a_layer_more_than_those_of_64():
    large = PaperGenerator(output_size=(128, 128), decoder_widths=(512, 256, 128, 64, 64))
    small = PaperGenerator(output_size=(64, 64), widths=(64, 128, 256, 512))
    (y, more), (z, less) = shapes(large, 2, 128, 128, 3), shapes(small, 2, 64, 64, 3)
    assert (y.shape, z.shape) == ((2, 128, 128, 3), (2, 64, 64, 3))
    layer = KERNEL * 64 * 64 + NORM * 64
    assert count_parameters(more) - count_parameters(less) == 2 * layer  # encoder and decoder
    _, discriminator = shapes(PaperDiscriminator(widths=(64, 64, 128, 256, 512)), 2, 128, 128, 3)
    assert count_parameters(discriminator) == 2_767_360 + layer


def test_no_convolution_has_a_bias_and_the_first_no_normalisation():
    generator = PaperGenerator(output_size=(8, 8), **SMALL)
    _, variables = shapes(generator, 2, 16, 16, 3)
    params = variables["params"]
    kernels = [name for name in params if name.startswith("Conv")]
    assert len(kernels) == 2 + 1 + 1 + 2
    assert all(params[name].keys() == {"kernel"} for name in kernels)
    norms = [p["BatchNorm_0"]["scale"].size for n, p in params.items() if n.startswith("Batch")]
    assert sorted(norms) == sorted([4, 6, 5, 4])  # all but the first, 3, and the last, 3


@pytest.mark.parametrize(
    "network",
    [
        PaperGenerator(output_size=(8, 8), **{**SMALL, "bottleneck": 4000}),
        PaperDiscriminator(widths=(3, 4000)),
    ],
)
def test_gains_start_as_the_authors_do(network):
    @jax.jit
    def gains(x):
        params = network.init(KEY, x, train=True)["params"]
        return [p["BatchNorm_0"]["scale"] for n, p in params.items() if n.startswith("Batch")]

    drawn = np.concatenate(gains(jnp.zeros((2, 16, 16, 3))))
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [1, 0.02], rtol=0.05)
    assert not np.any(drawn == 1)


@pytest.mark.parametrize("size", [2, 8, 64])
def test_same_is_torchs_padding_of_1_where_sizes_are_even(size):
    assert lax.padtype_to_pads((size, size), (4, 4), (2, 2), "SAME") == [(1, 1), (1, 1)]
    x, kernel = jnp.zeros((1, size, size, 1)), jnp.ones((4, 4, 1, 1))
    x = x.at[0, 0, 0, 0].set(1)
    # Torch's `padding` of an up-convolution takes so much from what the kernel reaches.
    reached = lax.conv_transpose(x, kernel, (2, 2), "VALID", dimension_numbers=LAYOUT)
    same = lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=LAYOUT)
    np.testing.assert_array_equal(same, reached[:, 1:-1, 1:-1])


@pytest.mark.parametrize("upsample", ["deconv", "resize_conv"])
@pytest.mark.parametrize(("image", "hole"), [((16, 24), (4, 12)), ((16, 16), (16, 16))])
def test_other_sizes_that_fit(image, hole, upsample):
    generator = PaperGenerator(output_size=hole, upsample=upsample, **SMALL)
    y, variables = shapes(generator, 2, *image, 4)
    assert (y.shape, y.dtype) == ((2, *hole, 3), jnp.float32)
    assert variables["params"]["Conv_0"]["kernel"].shape == (4, 4, 4, 3)
    assert ("ResizeConv_1" in variables["params"]) == (upsample == "resize_conv")
