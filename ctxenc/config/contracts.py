"""Whether a model's parts, a user's own among them, do what the step needs; on shapes alone.

The step itself refuses wrong shapes while it is traced (`ctxenc.step`). What a part raises by
itself is put down to that part here.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ctxenc import step
from ctxenc.config import schema
from ctxenc.config.schema import Config
from ctxenc.errors import UserError
from ctxenc.parallel import devices
from ctxenc.state import Model

ADVERSARIAL = ("discriminator_real", "discriminator_fake", "generator")


def check(model: Model, config: Config) -> None:
    """Trace the training step, so that what cannot work is refused before anything is written.

    The shardings are those of the run, which then finds these traces and need not make others.

    Raises:
        UserError: naming the part, what it gave and what was expected.
    """
    for name in ADVERSARIAL if model.adversarial is not None else ():
        if not callable(getattr(model.adversarial, name, None)):
            raise UserError(
                f"loss.adversarial._target_={config.loss['adversarial']['_target_']}: no method "
                f"{name}; expected {', '.join(ADVERSARIAL)}, each from logits to a scalar"
            )
    size, (everywhere, divided) = config.image_size, devices.shardings()
    images = jax.ShapeDtypeStruct((config.batch_size, size, size, 3), jnp.uint8, sharding=divided)
    numbers: dict[str, np.ndarray] = {
        name: np.zeros((), np.float32) for name in (*schema.traced(), "total_steps")
    }
    numbers["fill_value"] = np.zeros(3, np.float32)
    hyper, key = devices.on_devices(
        (numbers, jax.eval_shape(lambda: jax.random.key(0))), everywhere
    )
    try:
        state = devices.on_devices(step.init.eval_shape(model, key, size), everywhere)
        step.train_step.eval_shape(model, state, images, hyper, key)
    except UserError:
        raise
    except Exception as error:
        for part, node, attempt in _parts(model, config):
            try:
                jax.eval_shape(attempt)
            except Exception as cause:
                reason = " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
                raise UserError(f"{part}._target_={node['_target_']}: {reason}") from error
        raise


def _parts(model: Model, config: Config) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """Each part by itself, as the step would call it: (key, node, attempt)."""
    batch, size, shown = config.batch_size, config.image_size, model.prediction
    window = jnp.zeros((batch, *shown.window, 3))
    one = jnp.zeros((batch, *shown.window, 1))

    def network(module: Any, *shape: int) -> Any:
        x = jnp.zeros((batch, *shape))
        variables = module.init(jax.random.key(0), x, train=False)
        return module.apply(variables, x, train=True, mutable=["batch_stats"])

    yield (
        "mask",
        config.mask,
        lambda: model.mask(jax.random.key(0), batch, size, size),
    )
    yield (
        "model.generator",
        config.model["generator"],
        lambda: network(model.generator, size, size, shown.channels),
    )
    if model.discriminator is not None:
        yield (
            "model.discriminator",
            config.model["discriminator"],
            lambda: network(model.discriminator, *shown.discriminator_size(size), 3),
        )
    yield (
        "loss.reconstruction",
        config.loss["reconstruction"],
        lambda: model.reconstruction(window, window, one),
    )
    for name in ADVERSARIAL if model.adversarial is not None else ():
        method = functools.partial(getattr(model.adversarial, name), jnp.zeros(batch))
        yield "loss.adversarial", config.loss["adversarial"], method
    if model.seam is not None:
        image, mask = jnp.zeros((batch, size, size, 3)), jnp.zeros((batch, size, size, 1))
        seam = model.seam
        yield "loss.seam", config.loss["seam"], lambda: seam(image, mask)
    yield "optimizer", config.optimizer, lambda: model.optimizer.init({"kernel": jnp.zeros(2)})
    yield "schedule", config.schedule, lambda: model.schedule(jnp.zeros((), int), jnp.ones(()))
