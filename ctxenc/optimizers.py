"""Optimizers as update directions; the train step multiplies them by the learning rate.

Keeping the rate out makes it a traced value, so that a sweep over learning rates compiles once.
"""

import optax


def adam(*, b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Adam (Kingma & Ba, 2015); `eps` is added outside the square root."""
    return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
