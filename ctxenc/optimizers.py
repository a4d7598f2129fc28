"""Optimizers as update directions; the train step multiplies them by the learning rate.

Keeping the rate out makes it a traced value, so that a sweep over learning rates compiles once.
"""

from typing import Any

import jax
import optax

from ctxenc.errors import UserError


def adam(*, b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Adam (Kingma & Ba, 2015); `eps` is added outside the square root."""
    for name, value in (("b1", b1), ("b2", b2)):
        if not 0 <= value < 1:
            raise UserError(f"optimizer.{name}={value}: it takes a number from 0 up to below 1")
    if not eps > 0:
        raise UserError(f"optimizer.eps={eps}: it takes a number above 0")
    return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)


def adamw(*, b1: float, b2: float, eps: float, weight_decay: float) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), scaled by the learning rate.

    Kernels decay; biases and batch normalisation's scales do not.
    """
    if not 0 <= weight_decay < float("inf"):
        raise UserError(f"optimizer.weight_decay={weight_decay}: it takes a number of at least 0")
    decay = optax.add_decayed_weights(weight_decay, mask=_kernels)
    return optax.chain(adam(b1=b1, b2=b2, eps=eps), decay)


def _kernels(params: Any) -> Any:
    def is_kernel(path: tuple[Any, ...], _: Any) -> bool:
        return getattr(path[-1], "key", None) == "kernel"

    return jax.tree_util.tree_map_with_path(is_kernel, params)
