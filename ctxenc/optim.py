"""Optimizers and learning-rate schedules, beside all of Optax's.

An optimizer is a function with a `learning_rate`, which the step gives, and options of its own,
that returns an `optax.GradientTransformation`: these, and ``optax.adam``, ``optax.lion`` and so on.
A schedule is a function of (step, total steps) to a factor on both networks' learning rates; both
are traced, so runs of different lengths share one compiled program. Optax's schedules, of the step
alone, are made with their options: ``optax.cosine_decay_schedule`` with ``init_value: 1.0``.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ctxenc.errors import UserError

LARGEST = 1024  # the shorter side of Muon's matrices: the cost grows with its cube


def adam(
    learning_rate: optax.ScalarOrSchedule, *, b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba, 2015); `eps` is added outside the square root."""
    _check_moments(b1, b2, eps)
    return optax.adam(learning_rate, b1, b2, eps)


def adamw(
    learning_rate: optax.ScalarOrSchedule, *, b1: float, b2: float, eps: float, weight_decay: float
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), scaled by the learning rate.

    Kernels decay; biases and batch normalisation's scales do not.
    """
    _check_moments(b1, b2, eps)
    _check_weight_decay(weight_decay)
    return optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, mask=_kernels)


def muon(
    learning_rate: optax.ScalarOrSchedule, *, beta: float, weight_decay: float, steps: int
) -> optax.GradientTransformation:
    """Muon (Jordan et al., 2024) on kernels, Nadam on all else: momentum of equal singular values.

    Its updates are as large as Adam's (Liu et al., 2025), so that it takes Adam's learning rates. A
    convolution's kernel is the matrix from all of a window's channels to its features, a
    channel-wise layer's one matrix for each channel. Matrices whose sides are both above
    `LARGEST` are left to Nadam. `steps` are Newton and Schulz's.
    """
    if not 0 <= beta < 1:
        raise UserError(f"optimizer.beta={beta}: expected a number from 0 up to below 1")
    _check_weight_decay(weight_decay)
    if steps < 1:
        raise UserError(f"optimizer.steps={steps}: expected 1 or more")
    on_kernels = optax.chain(
        optax.trace(beta, nesterov=True),
        optax.stateless_with_tree_map(lambda update, _: _muon_update(update, steps)),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    return optax.partition(
        {True: on_kernels, False: optax.nadam(learning_rate)},
        lambda params: jax.tree.map(_is_small_matrix, _kernels(params), params),
    )


def _is_small_matrix(is_kernel: bool, leaf: Array) -> bool:
    return is_kernel and leaf.ndim > 1 and min(_matrices(leaf).shape[-2:]) <= LARGEST


def _matrices(kernel: Float[Array, "..."]) -> Float[Array, "..."]:
    return kernel.reshape(-1, kernel.shape[-1]) if kernel.ndim == 4 else kernel


def _muon_update(kernel: Float[Array, "..."], steps: int) -> Float[Array, "..."]:
    """A kernel's update, with a root mean square of 0.2 where all singular values are equal."""
    matrices = _matrices(kernel)
    update = orthogonalized(matrices, steps) * 0.2 * max(matrices.shape[-2:]) ** 0.5
    return update.reshape(kernel.shape)


def orthogonalized(
    matrices: Float[Array, "*many rows columns"], steps: int
) -> Float[Array, "*many rows columns"]:
    """Matrices whose singular values are brought near 1, within about 0.7 and 1.2.

    Newton and Schulz's iteration with Jordan's coefficients, from X over its Frobenius norm: X
    becomes 3.4445 X + (-4.775 A + 2.0315 A²) X with A = X Xᵀ. Each step multiplies X by a
    polynomial of A, so here the steps are taken on A and on the product of these polynomials,
    which have the shorter side of X only, and X is multiplied once at the end.
    """
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    norm = jnp.linalg.norm(wide, axis=(-2, -1), keepdims=True)
    wide = wide / (norm + 1e-8)
    square = wide @ wide.mT
    product = identity = jnp.eye(square.shape[-1])
    for _ in range(steps):
        factor = 3.4445 * identity - 4.775 * square + 2.0315 * square @ square
        product, square = factor @ product, factor @ square @ factor
    wide = product @ wide
    return wide if wide.shape == matrices.shape else wide.mT


def _check_weight_decay(weight_decay: float) -> None:
    if not 0 <= weight_decay < float("inf"):
        raise UserError(f"optimizer.weight_decay={weight_decay}: expected a number of at least 0")


def _check_moments(b1: float, b2: float, eps: float) -> None:
    for name, value in (("b1", b1), ("b2", b2)):
        if not 0 <= value < 1:
            raise UserError(f"optimizer.{name}={value}: expected a number from 0 up to below 1")
    if not eps > 0:
        raise UserError(f"optimizer.eps={eps}: expected a number above 0")


def _kernels(params: Any) -> Any:
    def is_kernel(path: tuple[Any, ...], _: Any) -> bool:
        return getattr(path[-1], "key", None) == "kernel"

    return jax.tree_util.tree_map_with_path(is_kernel, params)


def constant(step: Int[Array, ""], total: Float[Array, ""]) -> Float[Array, ""]:
    """The rates as they are."""
    del step, total
    return jnp.ones(())


def cosine(
    step: Int[Array, ""], total: Float[Array, ""], *, warmup: float, end: float
) -> Float[Array, ""]:
    """Linear warm-up, then half a cosine down to `end` (Loshchilov & Hutter, 2017, equation 5).

    Args:
        step: steps already taken.
        total: steps of the whole run.
        warmup: share of the run until the full rate is reached.
        end: the factor after the last step, which the last steps come close to.

    Raises:
        UserError: a share that is not from 0 up to below 1, or an end that is not 0 to 1.
    """
    if not 0 <= warmup < 1:
        raise UserError(f"schedule.warmup={warmup}: expected a number from 0 up to below 1")
    if not 0 <= end <= 1:
        raise UserError(f"schedule.end={end}: expected a number from 0 to 1")
    rising = jnp.ceil(warmup * total)
    up = (step + 1) / jnp.maximum(rising, 1)
    share = (step - rising) / jnp.maximum(total - rising, 1)
    down = end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1)))
    return jnp.where(step < rising, up, down)
