import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from ctxenc import ops
from ctxenc.ops import LAYOUT, bfloat16
from ctxenc.ops.platforms import EVERY, written_for

# Most of the time here goes into compiling, so LLVM is told not to optimize.
PAIRS = {
    "conv": tuple(
        partial(f, dimension_numbers=LAYOUT)
        for f in (ops.conv_general_dilated, lax.conv_general_dilated)
    ),
    "conv_transpose": (
        ops.conv_transpose,
        partial(lax.conv_transpose, dimension_numbers=("NHWC", "HWIO", "NHWC")),
    ),
}
NAMES = sorted(PAIRS)


def on_a_gpu(function):
    """What `ops` would compute there, computed here."""

    def called(*args, **options):
        with written_for("cuda"):
            return function(*args, **options)

    return called


PAIRS |= {f"{name} on a GPU": (on_a_gpu(ours), lax_s) for name, (ours, lax_s) in PAIRS.items()}
ALL_NAMES = sorted(PAIRS)


def normal(seed, shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


def outputs_and_gradients(function, x, kernel):
    @jax.jit
    def run(x, kernel):
        y, vjp = jax.vjp(function, x, kernel)
        return y, *vjp(normal(2, y.shape, y.dtype))

    return run(x, kernel)


def assert_agree(ours, theirs, tolerance=3e-6):
    """Within `tolerance` of the largest value: what sums in another order may differ by."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def compare(name, x, kernel, strides, padding, **options):
    def of(function):
        return lambda x, kernel: function(x, kernel, strides, padding, **options)

    assert_agree(*(outputs_and_gradients(of(function), x, kernel) for function in PAIRS[name]))


PAIR = st.tuples(st.integers(1, 4), st.integers(1, 4))
PADDING = st.one_of(
    st.sampled_from(["SAME", "VALID"]),
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
)


@settings(max_examples=14, deadline=None)
@given(
    name=st.sampled_from(ALL_NAMES),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=PAIR,
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=PADDING,
    channels=PAIR,
)
def test_any_size_agrees_with_lax(name, size, window, strides, padding, channels):
    if not isinstance(padding, str):
        # XLA's own gradient on CPU is wrong where the padding reaches the window: see below.
        padding = tuple(
            (min(low, w - 1), min(high, w - 1))
            for (low, high), w in zip(padding, window, strict=True)
        )
    kernel = normal(1, (*window, *channels))
    x = normal(0, (2, *size, channels[0]))
    reference = jax.eval_shape(lambda: PAIRS[name][1](x, kernel, strides, padding))
    if 0 in reference.shape or any(
        padding == "VALID" and s < w for s, w in zip(size, window, strict=True)
    ):
        return
    compare(name, x, kernel, strides, padding)


def test_padding_as_wide_as_the_window_agrees_with_a_sum_over_taps():
    """Where XLA's gradient on CPU is wrong (jaxlib 0.10.2), ours is that of the definition."""
    x, kernel, padding = normal(0, (2, 1, 2, 1)), normal(1, (2, 2, 1, 2)), ((1, 1), (2, 0))

    def taps(x, kernel):
        padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        return sum(
            jnp.einsum("bhwc,cf->bhwf", padded[:, i : i + 2, j : j + 3], kernel[i, j])
            for i in range(2)
            for j in range(2)
        )

    ours = partial(PAIRS["conv"][0], window_strides=(1, 1), padding=padding)
    assert_agree(outputs_and_gradients(ours, x, kernel), outputs_and_gradients(taps, x, kernel))


@pytest.mark.parametrize("name", ALL_NAMES)
@settings(max_examples=2, deadline=None)
@given(size=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_the_networks_4x4_stride_2_agrees_with_lax(name, size):
    # Wide enough, and of an even size, for Winograd's 9 products.
    size = [2 * s for s in size]
    x, kernel = normal(0, (3, *size, 40)), normal(1, (4, 4, 40, 36))
    compare(name, x, kernel, (2, 2), "SAME")


@pytest.mark.parametrize(
    ("size", "window"), [((8, 6), (3, 3)), ((7, 9), (3, 3)), ((7, 8), (2, 3)), ((3, 5), (3, 3))]
)
def test_wide_kernels_of_two_and_three_taps_agree_with_lax(size, window):
    # Of an even size, or large enough, for Winograd's products; the last is neither.
    compare("conv", normal(0, (2, *size, 33)), normal(1, (*window, 33, 35)), (1, 1), "SAME")


@pytest.mark.parametrize("name", ALL_NAMES)
@pytest.mark.parametrize("size", [(4, 4), (1, 1), (3, 5)])
def test_a_kernel_over_the_whole_map_agrees_with_lax(name, size):
    window = size if name.startswith("conv ") or name == "conv" else (4, 3)
    x, kernel = normal(0, (3, *size, 24)), normal(1, (*window, 24, 20))
    compare(name, x, kernel, (1, 1), "VALID")


@pytest.mark.parametrize(
    ("name", "size", "window", "stride", "padding"),
    [("conv", 19, 11, 4, "VALID"), ("conv_transpose", 6, 5, 2, ((2, 2), (2, 2)))],
)
def test_alexnets_strides_agree_with_lax(name, size, window, stride, padding):
    x, kernel = normal(0, (2, size, size, 3)), normal(1, (window, window, 3, 4))

    @jax.jit
    def both(x, kernel):
        return [(f(x, kernel, (stride, stride), padding),) for f in PAIRS[name]]

    assert_agree(*both(x, kernel))


@pytest.mark.parametrize(
    "options",
    [{"feature_group_count": 2}, {"rhs_dilation": (2, 1)}, {"lhs_dilation": (1, 3)}],
    ids=str,
)
def test_groups_and_dilations_agree_with_lax(options):
    groups = options.get("feature_group_count", 1)
    x, kernel = normal(0, (2, 5, 6, 4)), normal(1, (3, 2, 4 // groups, 6))
    compare("conv", x, kernel, (2, 1), ((1, 1), (0, 1)), **options)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 8, 8, 4), {"kernel_size": (4, 4), "strides": 2}),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "padding": "CIRCULAR"}),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "padding": 1, "feature_group_count": 2}),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "kernel_dilation": 2}),
        ((2, 8, 4), {"kernel_size": (3,)}),  # one dimension
    ],
    ids=str,
)
def test_flaxs_convolution_is_the_same_with_ours(shape, options):
    theirs = nn.Conv(6, **options)
    ours = theirs.clone(conv_general_dilated=ops.conv_general_dilated)

    @jax.jit
    def run(x):
        variables = theirs.init(jax.random.key(1), x)
        return [(layer.apply(variables, x),) for layer in (ours, theirs)]

    assert_agree(*run(normal(0, shape)))


@pytest.mark.parametrize("name", NAMES)
def test_vmap_over_images_and_kernels(name):
    x, kernel = normal(0, (2, 3, 4, 8, 32)), normal(1, (2, 4, 4, 32, 32))
    ours, theirs = (
        outputs_and_gradients(jax.vmap(lambda x, k, f=f: f(x, k, (2, 2), "SAME")), x, kernel)
        for f in PAIRS[name]
    )
    assert_agree(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_agrees_with_float32_on_the_same_numbers(name):
    function, reference = PAIRS[name]
    x, kernel = normal(0, (3, 4, 8, 32), jnp.bfloat16), normal(1, (4, 4, 32, 32), jnp.bfloat16)
    y = function(x, kernel, (2, 2), "SAME")
    exact = reference(x.astype(jnp.float32), kernel.astype(jnp.float32), (2, 2), "SAME")
    # Only the result is rounded, to bfloat16's 8 bits: the sums are float32.
    np.testing.assert_allclose(np.float32(y), exact, rtol=2**-8, atol=1e-4)
    assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "strides"), [((4, 8), (2, 2)), ((1, 1), (1, 1))], ids=str)
def test_second_derivatives_agree_with_lax(name, size, strides):
    x, kernel = normal(0, (2, *size, 32)), normal(1, (4, 4, 32, 32))

    def gradient_of_penalty(function):
        def slope(x, kernel):
            y = jax.grad(lambda x: jnp.sin(function(x, kernel, strides, "SAME")).sum())
            return jnp.square(y(x)).sum()

        return jax.jit(jax.grad(slope, (0, 1)))(x, kernel)

    ours, theirs = (gradient_of_penalty(f) for f in PAIRS[name])
    assert_agree(ours, theirs, 1e-4)


def gradients_twice(function, x, kernel, strides):
    """The output, the gradients, and those of the squared gradient by the image."""

    def loss(x, kernel):
        return jnp.sin(function(x, kernel, strides, "SAME")).sum()

    def penalty(x, kernel):
        return jnp.square(jax.grad(loss)(x, kernel)).sum()

    @jax.jit
    def run(x, kernel):
        first, second = (jax.grad(f, (0, 1))(x, kernel) for f in (loss, penalty))
        return function(x, kernel, strides, "SAME"), *first, *second

    return run(x, kernel)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strides", [(2, 2), (1, 1)], ids=str)  # with Winograd's products, without
@pytest.mark.parametrize("units", [True, False])
def test_bfloat16_products_are_as_exact_as_bfloat16_operands(name, strides, units, monkeypatch):
    monkeypatch.setattr(bfloat16, "has_bfloat16_products", lambda: units)
    x, kernel = normal(0, (3, 4, 8, 32)), 0.05 * normal(1, (4, 4, 32, 32))
    function, reference = PAIRS[name]
    exact = gradients_twice(reference, x, kernel, strides)
    with jax.default_matmul_precision("bfloat16"):
        found = gradients_twice(function, x, kernel, strides)
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == jnp.float32
        assert 1e-4 < jnp.linalg.norm(a - b) / jnp.linalg.norm(b) < 2**-6


@pytest.mark.parametrize("name", NAMES)
def test_a_cpu_that_multiplies_bfloat16_gets_such_operands_and_float32_sums_in_all_gradients(
    name, monkeypatch
):
    monkeypatch.setattr(bfloat16, "has_bfloat16_products", lambda: True)
    function = PAIRS[name][0]
    shapes = jnp.zeros((2, 8, 8, 64)), jnp.zeros((4, 4, 64, 32))
    with jax.default_matmul_precision("bfloat16"):
        text = gradient_of_sum(function).lower(*shapes).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 27  # Winograd's nine, of the output and of each gradient
    kinds = [re.findall(r"x(bf16|f32)>", line.split(" : ")[-1]) for line in products]
    assert all(kind == ["bf16", "bf16", "f32"] for kind in kinds)


@pytest.mark.parametrize("name", NAMES)
def test_on_any_other_the_products_are_of_the_same_rounded_numbers(name, monkeypatch):
    x, kernel = normal(0, (3, 4, 8, 32)), normal(1, (4, 4, 32, 32))
    found = []
    for units in (True, False):
        monkeypatch.setattr(bfloat16, "has_bfloat16_products", lambda units=units: units)
        with jax.default_matmul_precision("bfloat16"):
            # A function of its own, so that neither finds the other's trace.
            found.append(
                outputs_and_gradients(lambda *a: PAIRS[name][0](*a, (2, 2), "SAME"), x, kernel)
            )
    assert_agree(*found, 1e-5)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : avx2 fma", False),
        ("flags : avx512f avx512_bf16 fma", True),
        ("flags : amx_bf16 amx_tile", True),
        (None, False),
    ],
)
def test_a_cpu_says_by_its_flags_whether_it_multiplies_bfloat16(
    flags, expected, tmp_path, monkeypatch
):
    file = tmp_path / "cpuinfo"
    if flags is not None:
        file.write_text(flags)
    monkeypatch.setattr(bfloat16, "Path", lambda _: file)
    assert bfloat16.has_bfloat16_products.__wrapped__() == expected


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_products_of_many_at_once_are_those_of_each(name):
    x, kernel = normal(0, (2, 3, 4, 8, 32)), normal(1, (2, 4, 4, 32, 32))

    def both(x, kernel):
        return outputs_and_gradients(lambda *a: PAIRS[name][0](*a, (2, 2), "SAME"), x, kernel)

    with jax.default_matmul_precision("bfloat16"):
        ours = jax.vmap(both)(x, kernel)
        one_by_one = [jnp.stack(parts) for parts in zip(*map(both, x, kernel), strict=True)]
    assert_agree(ours, one_by_one, 2e-3)


def gradient_of_sum(function):
    def loss(x, kernel):
        return jnp.square(function(x, kernel, (2, 2), "SAME")).sum()

    return jax.jit(jax.grad(loss, (0, 1)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [3, 64])
def test_on_cpu_every_convolution_is_a_matrix_product(name, channels):
    shapes = jnp.zeros((2, 8, 8, channels)), jnp.zeros((4, 4, channels, 32))
    function, reference = PAIRS[name]
    assert " convolution(" in gradient_of_sum(reference).lower(*shapes).compile().as_text()
    compiled = gradient_of_sum(function).lower(*shapes).compile().as_text()
    assert " convolution(" not in compiled
    assert " dot(" in compiled


def multiplications(lowered):
    """Those of a program's matrix products."""
    shapes = re.findall(r"dot_general.* : \(tensor<(.*)>, tensor<(.*)>\) -> tensor<(.*)>", lowered)
    assert shapes
    counts = [
        [np.prod([int(n) for n in re.findall(r"(\d+)x", of)]) for of in one] for one in shapes
    ]
    return sum(np.sqrt(a * b * c) for a, b, c in counts)  # of (n, k) and (k, m): n k m


@pytest.mark.parametrize(
    ("size", "window", "strides", "share"),
    [
        ((8, 8), (4, 4), (2, 2), 9 / 16),
        ((16, 16), (3, 3), (1, 1), 16 / 36),
        ((3, 3), (3, 3), (1, 1), 1),  # too small for it
    ],
)
def test_winograd_saves_what_it_promises_in_both_directions(size, window, strides, share):
    def run(x, kernel):
        return PAIRS["conv"][0](x, kernel, strides, "SAME")

    x, kernel = jnp.zeros((2, *size, 64)), jnp.zeros((*window, 64, 64))
    outputs = 2 * size[0] * size[1] / strides[0] / strides[1]
    each_tap = outputs * 64 * 64 * window[0] * window[1]
    assert multiplications(jax.jit(run).lower(x, kernel).as_text()) == share * each_tap

    gradients = jax.jit(lambda x, k: jax.grad(lambda *a: run(*a).sum(), (0, 1))(x, k))
    assert multiplications(gradients.lower(x, kernel).as_text()) == 2 * share * each_tap


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("way", [None, EVERY])
def test_elsewhere_convolutions_stay_convolutions(name, platform, way):
    shapes = jnp.zeros((2, 8, 8, 64)), jnp.zeros((4, 4, 64, 32))
    with written_for(way or platform):
        traced = gradient_of_sum(PAIRS[name][0]).trace(*shapes)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == 3  # itself and two gradients
    assert "stablehlo.dot_general" not in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 4, 8])
def test_programs_of_any_batch_can_be_exported(name, size):
    (batch,) = jax.export.symbolic_shape("batch")
    x = jax.ShapeDtypeStruct((batch, size, size, 32), jnp.float32)
    convolve = jax.jit(lambda x: PAIRS[name][0](x, jnp.ones((4, 4, 32, 32)), (2, 2), "SAME"))
    exported = jax.export.export(convolve)(x)
    assert exported.call(jnp.ones((3, size, size, 32))).shape[0] == 3


def test_padding_that_is_no_name():
    x, kernel = jnp.zeros((1, 4, 4, 1)), jnp.zeros((4, 4, 1, 1))
    with pytest.raises(ValueError, match="padding='SOME': expected 'SAME', 'VALID' or pairs"):
        ops.conv_transpose(x, kernel, (2, 2), "SOME")
