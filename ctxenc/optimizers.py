"""Optimizers as update directions; the train step multiplies them by the learning rate.

Keeping the rate out makes it a traced value, so that a sweep over learning rates compiles once.
"""

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
