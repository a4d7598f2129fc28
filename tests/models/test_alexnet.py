import jax
import jax.numpy as jnp
import numpy as np

from ctxenc.models.alexnet import SMALLEST, AlexNetGenerator
from ctxenc.models.paper import PaperDiscriminator
from tests.models.counting import count_parameters

KEY = jax.random.key(0)
NORM = 4  # gain, bias, mean and variance


def shapes(network, *shape):
    """(output, variables, what each layer made), as shapes."""

    def run(x):
        return network.init_with_output(KEY, x, train=True, capture_intermediates=True)

    y, variables = jax.eval_shape(run, jnp.zeros(shape))
    made = variables.pop("intermediates")
    return y, variables, {n: m["__call__"][0] for n, m in made.items() if n != "__call__"}


def test_the_number_of_its_parameters():
    _, variables, _ = shapes(AlexNetGenerator(output_size=(227, 227)), 2, 227, 227, 3)
    # A layer in two groups has half the inputs.
    encoder = 11 * 11 * 3 * 96 + 5 * 5 * 48 * 256
    encoder += 3 * 3 * (256 * 384 + 192 * 384 + 192 * 256)
    encoder += NORM * (96 + 256 + 384 + 384 + 256)
    channelwise = 256 * (36 * 36) + 256 * 36  # a matrix a channel, and biases
    across = 256 * 256 + NORM * 256
    decoder = 5 * 5 * (256 * 128 + 128 * 64 + 64 * 64 + 64 * 32 + 32 * 3)
    decoder += NORM * (128 + 64 + 64 + 32)
    assert count_parameters(variables) == encoder + channelwise + across + decoder == 3_926_912


def test_its_maps_have_the_papers_sizes():
    y, _, made = shapes(AlexNetGenerator(output_size=(227, 227)), 2, 227, 227, 3)
    convolved = [made[f"Conv_{i}"].shape[1:] for i in range(6)]
    assert convolved == [
        *((55, 55, 96), (27, 27, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256)),
        (6, 6, 256),  # the 1×1 convolution
    ]
    assert made["ChannelwiseDense_0"].shape == (2, 6, 6, 256)
    assert np.prod(made["ChannelwiseDense_0"].shape[1:]) == 9216
    assert [made[f"ConvTranspose_{i}"].shape[1:] for i in range(5)] == [
        *((11, 11, 128), (21, 21, 64), (41, 41, 64), (81, 81, 32), (161, 161, 3))
    ]
    assert (y.shape, y.dtype) == ((2, 227, 227, 3), jnp.float32)


def test_resize_conv_doubles_its_maps():
    generator = AlexNetGenerator(output_size=(227, 227), upsample="resize_conv")
    y, variables, made = shapes(generator, 2, 227, 227, 4)
    assert [made[f"ResizeConv_{i}"].shape[1] for i in range(5)] == [12, 24, 48, 96, 192]
    assert variables["params"]["ResizeConv_0"].keys() == {"kernel"}
    assert y.shape == (2, 227, 227, 3)


def test_the_discriminator_of_227_pixels_ends_on_a_4x4_map():
    widths = (64, 64, 128, 256, 512, 512)
    y, variables, _ = shapes(PaperDiscriminator(widths=widths), 2, 227, 227, 3)
    assert variables["params"]["Conv_6"]["kernel"].shape == (4, 4, 512, 1)
    assert y.shape == (2,)


def test_the_smallest_image_leaves_something_to_decode():
    y, _, made = shapes(AlexNetGenerator(output_size=(64, 48)), 2, SMALLEST, SMALLEST, 3)
    assert made["ChannelwiseDense_0"].shape == (2, 2, 2, 256)
    assert made["ConvTranspose_4"].shape == (2, 33, 33, 3)
    assert y.shape == (2, 64, 48, 3)


def test_bfloat16_is_of_every_layer_and_of_no_variable():
    network = AlexNetGenerator(output_size=(227, 227), dtype=jnp.bfloat16)
    y, variables, made = shapes(network, 2, 227, 227, 3)
    assert {layer.dtype for layer in made.values()} == {jnp.dtype(jnp.bfloat16)}
    kept = variables["params"], variables["batch_stats"]
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype(jnp.float32)}
    assert y.dtype == jnp.float32
