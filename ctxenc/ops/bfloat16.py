"""Products of float32 matrices whose operands are rounded to bfloat16, with their gradients.

XLA reaches a CPU's instructions for them (Intel's AMX, AVX-512's of Intel and AMD) where both
operands are bfloat16, the result is float32, and the first operand's rows, along which is summed,
are contiguous in memory. JAX's own gradients of such a product multiply a float32 matrix, and for
the weights' sum along columns, which takes several times as long; so they are written out here. A
CPU without such instructions multiplies the same rounded numbers as float32.
"""

from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

Matrix = Float[Array, "_ _"]


@cache
def has_bfloat16_products() -> bool:
    """Whether this machine's CPU has instructions for products of bfloat16 that XLA uses."""
    known = Path("/proc/cpuinfo")  # Linux has it
    flags = known.read_text(errors="replace").split() if known.exists() else ()
    return "amx_bf16" in flags or "avx512_bf16" in flags


def _rounded(x: Matrix) -> Matrix:
    if has_bfloat16_products():
        return x.astype(jnp.bfloat16)
    # Not by converting there and back, which XLA leaves out.
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


def _sum(a: Matrix, b: Matrix, axis_of_b: int) -> Matrix:
    """Along the rows of `a`, and one axis of `b`."""
    axes = ((1,), (axis_of_b,)), ((), ())
    return lax.dot_general(_rounded(a), _rounded(b), axes, preferred_element_type=jnp.float32)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: Float[Array, "rows from"], matrix: Matrix, flip: bool) -> Float[Array, "rows to"]:
    """`x @ matrix`, or with `flip` `x @ matrix.T`; sums are float32."""
    return _sum(x, matrix, 1 if flip else 0)


def _product_forward(x: Matrix, matrix: Matrix, flip: bool) -> tuple[Matrix, tuple[Matrix, Matrix]]:
    return product(x, matrix, flip), (x, matrix)


def _product_backward(
    flip: bool, saved: tuple[Matrix, Matrix], slope: Matrix
) -> tuple[Matrix, Matrix]:
    x, matrix = saved
    return product(slope, matrix, not flip), _outer(slope, x) if flip else _outer(x, slope)


product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def _outer(a: Matrix, b: Matrix) -> Matrix:
    """`a.T @ b`."""
    rows = _rounded(a).T
    if has_bfloat16_products():
        # Else XLA takes `a` as it lies for its transpose, and sums along columns.
        rows = with_layout_constraint(rows, Layout((0, 1)))
    return _sum(rows, b, 0)


def _outer_forward(a: Matrix, b: Matrix) -> tuple[Matrix, tuple[Matrix, Matrix]]:
    return _outer(a, b), (a, b)


def _outer_backward(saved: tuple[Matrix, Matrix], slope: Matrix) -> tuple[Matrix, Matrix]:
    a, b = saved
    return product(b, slope, True), product(a, slope, False)


_outer.defvjp(_outer_forward, _outer_backward)
