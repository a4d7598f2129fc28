"""From a checked configuration to objects: the model that is trained, its numbers, the images."""

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable
from typing import Any, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ctxenc import masks, step
from ctxenc.config import schema
from ctxenc.config.instantiate import locate, made, strategy, target
from ctxenc.config.schema import Config, Role
from ctxenc.data.images import Dataset, in_memory
from ctxenc.errors import UserError
from ctxenc.losses import Adversarial, Loss
from ctxenc.masks import MaskStrategy
from ctxenc.masks.boxes import band
from ctxenc.parallel import devices
from ctxenc.prediction import Prediction, are_boxes
from ctxenc.state import Model

SAMPLE = 64  # test masks by which it is decided what a strategy's masks are like


def model(config: Config) -> Model:
    """What a configuration trains. Equal configurations give the same object: one compilation.

    Raises:
        UserError: an option is bad, or masks, predictions and what the discriminator sees do not
            fit together.
    """
    static = {name: getattr(config, name) for name in schema.keys(lambda k: k.role is Role.STATIC)}
    return _model(json.dumps({**static, "averaged": config.ema_decay is not None}))


@functools.cache  # what JAX has compiled for one stays in memory anyway
def _model(static_json: str) -> Model:
    static = json.loads(static_json)
    networks, dtype = static["model"], jnp.dtype(static["precision"])
    mask, loss = strategy(static["mask"]), _loss(static["loss"])
    prediction = _prediction(static, mask)
    discriminator = None
    if loss.adversarial is not None:
        node = _part(networks, "discriminator", "model")
        discriminator = made(node, "model.discriminator", dtype=dtype)
    return Model(
        generator=made(
            _part(networks, "generator", "model"),
            "model.generator",
            output_size=prediction.window,
            dtype=dtype,
        ),
        discriminator=discriminator,
        loss=loss,
        mask=mask,
        prediction=prediction,
        optimizer=_optimizer(static["optimizer"]),
        schedule=_schedule(static["schedule"]),
        flip=static["flip"],
        averaged=static["averaged"],
    )


def _loss(node: dict[str, Any]) -> Loss:
    kinds = {field.name: field.type for field in dataclasses.fields(Loss)}
    if unknown := [name for name in node if name not in kinds and node[name] is not None]:
        raise UserError(f"loss.{unknown[0]}: no such term; expected {', '.join(kinds)}")
    _part(node, "reconstruction", "loss")
    terms: dict[str, Any] = {}
    for name, kind in kinds.items():
        if node.get(name) is None and name != "reconstruction":
            continue
        arguments = _arguments(kind)
        make = functools.partial(target, positional=arguments) if arguments else made
        terms[name] = make(node[name], f"loss.{name}")
    methods = [name for name in vars(Adversarial) if not name.startswith("_")]
    for method in methods if "adversarial" in terms else ():
        if not callable(getattr(terms["adversarial"], method, None)):
            raise UserError(
                f"loss.adversarial._target_={node['adversarial']['_target_']}: no method "
                f"{method}; expected {', '.join(methods)}, each from logits to a scalar"
            )
    return Loss(**terms)


def _arguments(kind: Any) -> int:
    """How many arguments a term is called with, by its field's type; 0 where it is no function."""
    functions = [k for k in (kind, *get_args(kind)) if get_origin(k) is Callable]
    return len(get_args(functions[0])[0]) if functions else 0


def check_model(model: Model, config: Config) -> None:
    """Refuse parts that break their contracts: the step is traced, before anything is written.

    The shardings are those of the run, which then finds these traces and need not make others.

    Raises:
        UserError: naming the part, what it gave and what was expected.
    """
    if config.context_weight != 1 and not (model.prediction.whole or model.prediction.band):
        raise UserError(
            f"context_weight={config.context_weight:g}: must be 1, as nothing visible is "
            "predicted; overlap=… or predict=image would"
        )
    size, (everywhere, divided) = config.image_size, devices.shardings()
    images = jax.ShapeDtypeStruct((config.batch_size, size, size, 3), jnp.uint8, sharding=divided)
    numbers = jax.eval_shape(lambda: hyperparameters(config, np.zeros(3), 1))
    key = jax.eval_shape(lambda: jax.random.key(0))
    hyper, key = devices.on_devices((numbers, key), everywhere)
    state = devices.on_devices(step.init.eval_shape(model, key, size), everywhere)
    step.train_step.eval_shape(model, state, images, hyper, key)


def hyperparameters(
    config: Config, mean_colour: Float[np.ndarray, " 3"], total_steps: int
) -> dict[str, Array]:
    """The numbers that the compiled step is given, by the names of their keys.

    Args:
        config: of the run.
        mean_colour: of the training split, in [-1, 1].
        total_steps: of the whole run.
    """
    numbers = {name: getattr(config, name) or 0.0 for name in schema.traced()}
    numbers["lambda_rec"], numbers["lambda_adv"] = config.weights
    fill = config.fill_value
    numbers["fill_value"] = mean_colour if fill == "mean" else np.full(3, fill)
    numbers["total_steps"] = total_steps
    return {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()}


def dataset(config: Config) -> Dataset:
    """The images of a configuration, opened once a process however many jobs ask for them.

    Splits that fit in memory are decoded.
    """
    return _dataset(json.dumps(config.dataset), config.image_size)


@functools.lru_cache(maxsize=2)
def _dataset(node_json: str, image_size: int) -> Dataset:
    node = json.loads(node_json)
    opened = made(node, "dataset", image_size=image_size)
    for split in ("train", "test"):
        images: Any = getattr(opened, split, None)
        breaks = f"dataset._target_={node['_target_']}: its"
        for needed in ("image_size", "__len__", "__getitem__"):
            if not hasattr(images, needed):
                raise UserError(
                    f"{breaks} {split} split has no {needed}; expected a ctxenc.data.images.Dataset"
                )
        first = np.asarray(images[0] if len(images) else ())
        if first.dtype != np.uint8 or first.shape != (image_size, image_size, 3):
            raise UserError(
                f"{breaks} {split} split begins with {first.dtype} {first.shape}; expected images "
                f"of uint8 ({image_size}, {image_size}, 3)"
            )
    return Dataset(opened.name, in_memory(opened.train), in_memory(opened.test))


def _part(node: dict[str, Any], name: str, key: str) -> Any:
    if name not in node:
        raise UserError(f"{key}.{name}: missing; expected a _target_ and its options")
    return node[name]


def _optimizer(node: Any) -> optax.GradientTransformation:
    """The optimizer with its learning rate in its state, where the step sets it."""
    make = target(node, "optimizer")
    refusal = (
        f"optimizer._target_={node['_target_']}: expected a function with a learning_rate that "
        "returns an optax.GradientTransformation, such as optax.adam"
    )
    names = tuple(inspect.signature(make).parameters)
    if "learning_rate" not in names:
        raise UserError(refusal)
    fixed = tuple(name for name in names if name != "learning_rate")
    try:
        if hasattr(make(learning_rate=0.0), "update"):
            return optax.inject_hyperparams(make, static_args=fixed)(learning_rate=0.0)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{refusal} ({type(error).__name__}: {error})") from None
    raise UserError(refusal)


def _schedule(node: Any) -> Callable[[Array, Array], Array]:
    """A function of (step, total steps); Optax's are made with their options, and of the step."""
    path = node.get("_target_") if isinstance(node, dict) else None
    if str(locate(path, "schedule._target_").__module__).split(".")[0] == "optax":
        by_step = made(node, "schedule")
        return lambda step, total: by_step(step)
    return target(node, "schedule", positional=2)


def _prediction(static: dict[str, Any], mask: MaskStrategy) -> Prediction:
    size, box = static["image_size"], (static["mask_height"], static["mask_width"])
    predict, overlap = static["predict"], static["overlap"]
    hole = Prediction(window=box, band=band(overlap, *box), box=box)
    all_boxes = _fill_boxes(mask, hole, size)
    if predict == "hole" or static["discriminator_input"] == "hole":
        check_holes(mask, hole, size)
    if predict == "image" or not all_boxes:
        if hole.band:
            raise UserError(
                f"overlap={overlap}: must be 0, as a prediction of the whole image overlaps all of "
                "its context; context_weight weighs the context"
            )
        hole = Prediction(window=(size, size), whole=True, box=box if all_boxes else None)
    given = {key: static[key] for key in ("discriminator_input", "mask_channel")}
    return dataclasses.replace(hole, **given)


def prediction_of_masks(
    prediction: Prediction, mask: MaskStrategy, box: tuple[int, int], size: int
) -> Prediction:
    """A generator's prediction for other masks than those it was trained on.

    Raises:
        UserError: it fills boxes, and they are not.
    """
    if prediction.whole:
        hole = Prediction(window=box, box=box)
        return dataclasses.replace(prediction, box=box if _fill_boxes(mask, hole, size) else None)
    check_holes(mask, prediction, size)
    return prediction


def check_holes(mask: MaskStrategy, prediction: Prediction, size: int) -> None:
    """Refuse masks whose missing pixels are not the box that a generator of holes fills."""
    if not _fill_boxes(mask, prediction, size):
        height, width = (side - 2 * prediction.band for side in prediction.window)
        raise UserError(
            f"mask: expected one box of {height} × {width} pixels missing in every image (of "
            "mask_height × mask_width, less the overlap), and these masks are of other shapes or "
            "sizes; predict=image, with discriminator_input=prediction or composite, allows any"
        )


def _fill_boxes(mask: MaskStrategy, prediction: Prediction, size: int) -> bool:
    """Whether each of some test masks is one box of the window's size, less its visible band.

    Of a mixture, each part is asked: so few masks may have none of a part with a small weight.
    """
    drawn = masks.frozen(mask, jnp.arange(SAMPLE), size, size)
    if drawn.shape != (SAMPLE, size, size, 1):
        raise UserError(
            f"mask: returned {drawn.shape[1:]} for an image of {size} × {size}; expected "
            f"(batch, {size}, {size}, 1), 1 where a pixel is missing"
        )
    height, width = (side - 2 * prediction.band for side in prediction.window)
    parts = getattr(mask, "parts_used", ())
    missing = np.asarray(drawn)[..., 0] > 0
    return are_boxes(missing, height, width) and all(
        _fill_boxes(part, prediction, size) for part in parts
    )
