"""A context encoder small enough for tests."""

import functools

import jax.numpy as jnp
import optax

from ctxenc import losses, optim
from ctxenc.config import schema
from ctxenc.geometry import Geometry
from ctxenc.masks import boxes
from ctxenc.models.discriminator import Discriminator
from ctxenc.models.generator import Generator
from ctxenc.state import Model


def tiny_model(*, adversarial=True, mask=boxes.random_box, flip=True, dtype=jnp.float32):
    """Both networks with a handful of channels, an 8 × 8 hole in a 16 × 16 image."""
    return Model(
        generator=Generator(output_size=(8, 8), widths=(4, 8), decoder_widths=(8,), dtype=dtype),
        discriminator=Discriminator(widths=(4, 8), dtype=dtype) if adversarial else None,
        loss=losses.Loss(losses.l2, losses.NonSaturating() if adversarial else None),
        mask=functools.partial(mask, mask_height=8, mask_width=8),
        optimizer=optax.inject_hyperparams(optax.adam)(learning_rate=0.0, eps=1e-7),
        geometry=Geometry(window=(8, 8), box=(8, 8)),
        schedule=optim.constant,
        flip=flip,
    )


def hyper(lambda_rec=0.999, lambda_adv=1e-3, learning_rate_g=1e-3, learning_rate_d=1e-3, **others):
    """The step's numbers; those that are not given are the defaults."""
    numbers = {name: schema.fields()[name].default for name in schema.traced()}
    numbers |= {"lambda_rec": lambda_rec, "lambda_adv": lambda_adv, "total_steps": 0.0}
    numbers |= {"learning_rate_g": learning_rate_g, "learning_rate_d": learning_rate_d, **others}
    numbers["fill_value"] = [1.0, 1.0, 1.0]
    return {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()}


def every_term(weight):
    """This weight for each term of a loss that has one, as `hyper` takes them."""
    return dict.fromkeys(schema.keys(lambda key: key.term), weight)


TINY = (  # overrides for whole runs that take a second or two once compiled
    *("model=cifar", "loss=joint", "optimizer=adam", "ema_decay=null"),
    *("learning_rate_g=5e-4", "learning_rate_d=1e-4"),
    "model.generator.widths=[4,8]",
    "model.generator.decoder_widths=[8]",
    "model.discriminator.widths=[4,8]",
    "image_size=16",  # and so the hole is 8 × 8
    "batch_size=32",
    "num_img=3",
)
