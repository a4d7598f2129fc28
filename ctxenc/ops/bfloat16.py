"""Products of float32 matrices whose operands are rounded to bfloat16, with their gradients.

XLA reaches a CPU's matrix units (Intel's AMX) where both operands are bfloat16, the result is
float32, and the first operand's rows, along which is summed, are contiguous in memory. JAX's own
gradients of such a product multiply a float32 matrix, and for the weights' sum along columns, which
takes several times as long; so they are written out here.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

Matrix = Float[Array, "_ _"]


def _sum(a: Matrix, b: Matrix, axis_of_b: int) -> Matrix:
    """Along the rows of `a`, and one axis of `b`."""
    half = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    axes = ((1,), (axis_of_b,)), ((), ())
    return lax.dot_general(*half, axes, preferred_element_type=jnp.float32)


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
    # Without the constraint XLA takes `a` as it lies for its transpose, and sums along columns.
    rows = with_layout_constraint(a.astype(jnp.bfloat16).T, Layout((0, 1)))
    return _sum(rows, b, 0)


def _outer_forward(a: Matrix, b: Matrix) -> tuple[Matrix, tuple[Matrix, Matrix]]:
    return _outer(a, b), (a, b)


def _outer_backward(saved: tuple[Matrix, Matrix], slope: Matrix) -> tuple[Matrix, Matrix]:
    a, b = saved
    return product(b, slope, True), product(a, slope, False)


_outer.defvjp(_outer_forward, _outer_backward)
