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
from omegaconf import DictConfig, OmegaConf

from ctxenc import step
from ctxenc.config import schema
from ctxenc.config.compose import folder_keys
from ctxenc.config.instantiate import forget_strategies, locate, made, strategy, target
from ctxenc.config.schema import Config, Role
from ctxenc.data.images import Dataset, Images, in_memory
from ctxenc.data.labels import labels_of
from ctxenc.errors import UserError
from ctxenc.geometry import Geometry
from ctxenc.losses import Adversarial, Loss
from ctxenc.models.label_head import LabelHead
from ctxenc.models.residual import ResidualGenerator
from ctxenc.ops.bfloat16 import has_bfloat16_products
from ctxenc.parallel import devices
from ctxenc.state import Model
from ctxenc.tracking import Tracker

SPLITS = ("train", "validation", "test")


def classes(config: Config) -> int:
    """How many classes the labels have that a term of the loss is of; 0 where no term is.

    Raises:
        UserError: the images cannot be had, have no labels, or one class.
    """
    if config.loss.get("label") is None:
        return 0
    opened = dataset(config)
    names = labels_of(opened.train, f"loss.label with the data set {opened.name}").names
    if len(names) < 2:
        raise UserError(
            f"loss.label with the data set {opened.name}: its images are of one class, "
            f"{', '.join(names)}; expected two or more"
        )
    return len(names)


def model(config: Config, classes: int = 0) -> Model:
    """What a configuration trains. Equal configurations give the same object: one compilation.

    A label head, where there is one, tells so many `classes` apart.

    Raises:
        UserError: an option is bad, or masks, predictions and what the discriminator sees do not
            fit together.
    """
    static = {name: getattr(config, name) for name in schema.keys(lambda k: k.role is Role.STATIC)}
    static["precision"] = precision(config)
    averaged = config.ema_decay is not None
    return _model(json.dumps({**static, "averaged": averaged, "classes": classes}))


def precision(config: Config) -> str:
    """The configuration's; for ``auto`` the one that is faster here for large networks.

    That is bfloat16 where there are instructions for its products: a TPU's, a GPU's from NVIDIA's
    Ampere on, a CPU's AMX or AVX-512 BF16.
    """
    if config.precision != "auto":
        return config.precision
    if jax.default_backend() == "cpu":
        fast = has_bfloat16_products()
    else:
        capability = getattr(jax.devices()[0], "compute_capability", "")  # "8.0"; AMD's is a name
        fast = not capability[:1].isdigit() or float(capability) >= 8
    return "bfloat16" if fast else "float32"


@functools.cache  # what JAX has compiled for one stays in memory anyway
def _model(static_json: str) -> Model:
    static = json.loads(static_json)
    networks, arithmetic = static["model"], static["precision"]
    # On CPU all but a product is slower in bfloat16 than in float32: XLA converts to and fro.
    products_alone = arithmetic == "bfloat16" and jax.default_backend() == "cpu"
    dtype = jnp.dtype("float32" if products_alone else arithmetic)
    mask, loss = strategy(static["mask"]), _loss(static["loss"])
    geometry = Geometry.of(
        mask,
        static["image_size"],
        (static["mask_height"], static["mask_width"]),
        predict=static["predict"],
        overlap=static["overlap"],
        discriminator_input=static["discriminator_input"],
        mask_channel=static["mask_channel"],
    )
    discriminator = None
    if loss.adversarial is not None:
        node = _part(networks, "discriminator", "model")
        discriminator = made(node, "model.discriminator", dtype=dtype)
    return Model(
        generator=made(
            _part(networks, "generator", "model"),
            "model.generator",
            output_size=geometry.window,
            dtype=dtype,
        ),
        discriminator=discriminator,
        loss=loss,
        mask=mask,
        geometry=geometry,
        optimizer=_optimizer(static["optimizer"]),
        schedule=_schedule(static["schedule"]),
        flip=static["flip"],
        augment=target(static["augment"], "augment", positional=2),
        averaged=static["averaged"],
        label_head=LabelHead(static["classes"]) if static["classes"] else None,
        bfloat16_products=products_alone,
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
    if config.context_weight != 1 and not (model.geometry.whole or model.geometry.band):
        raise UserError(
            f"context_weight={config.context_weight:g}: must be 1, as nothing visible is "
            "predicted; overlap=… or predict=image would"
        )
    shown = not model.geometry.hides and config.weights[0]
    if shown and isinstance(model.generator, ResidualGenerator):
        raise UserError(
            "model=residual: adds to what it is given, which mask=whole leaves as it is: there "
            "would be nothing to learn; expected another, such as model=cifar_half"
        )
    size, (everywhere, divided) = config.image_size, devices.shardings()
    images = jax.ShapeDtypeStruct((config.batch_size, size, size, 3), jnp.uint8, sharding=divided)
    numbers = jax.eval_shape(lambda: hyperparameters(config, np.zeros(3), 1))
    key = jax.eval_shape(lambda: jax.random.key(0))
    hyper, key = devices.on_devices((numbers, key), everywhere)
    state = devices.on_devices(step.init.eval_shape(model, key, size), everywhere)
    labels = None
    if model.label_head is not None:
        labels = jax.ShapeDtypeStruct(images.shape[:1], jnp.int32, sharding=divided)
    step.train_step.eval_shape(model, state, images, hyper, key, labels)


def hyperparameters(
    config: Config, mean_colour: Float[np.ndarray, " 3"], total_steps: int
) -> dict[str, Array]:
    """The numbers that the compiled step is given, by the names of their keys.

    Args:
        config: of the run.
        mean_colour: of the training split, in [-1, 1].
        total_steps: of the whole run.
    """
    numbers = {name: getattr(config, name) for name in schema.traced()}
    # What null means is decided where the step is traced; a number in its place would be obeyed.
    numbers = {name: np.nan if value is None else value for name, value in numbers.items()}
    numbers["lambda_rec"], numbers["lambda_adv"] = config.weights
    fill = config.fill_value
    numbers["fill_value"] = mean_colour if fill == "mean" else np.full(3, fill)
    numbers["total_steps"] = total_steps
    return {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()}


def reread(composed: DictConfig) -> None:
    """Forget what this process has read of a configuration's folders: their files may have changed.

    What is prepared once and for all, under a `data_dir`, is kept.
    """
    for name in folder_keys(composed):
        group, _, option = name.partition(".")
        key = schema.keys()[group]
        mere_place = option in key.places or key.role is Role.LOCATION
        if mere_place or not OmegaConf.select(composed, name):
            continue
        _dataset.cache_clear()
        if group != "dataset":
            forget_strategies()
            _model.cache_clear()


def dataset(config: Config, *held_out: str) -> Dataset:
    """The images of a configuration, opened once a process however many jobs ask for them.

    The training split and those of `held_out`, ``validation`` where none is named, are checked, and
    decoded where they fit in memory; others are not touched.

    Raises:
        UserError: the images cannot be had, or a split is not what `ctxenc.data` says.
    """
    splits = held_out or ("validation",)
    return _dataset(json.dumps(config.dataset), config.image_size, splits)


@functools.lru_cache(maxsize=2)
def _dataset(node_json: str, image_size: int, held_out: tuple[str, ...]) -> Dataset:
    node = json.loads(node_json)
    opened = made(node, "dataset", image_size=image_size)
    of = f"dataset._target_={node['_target_']}: its"
    splits = {name: _split(getattr(opened, name, None), of, name) for name in SPLITS}
    for name in ("train", *held_out):
        images = splits[name]
        tested_whole = name == "train" and held_out == ("test",) and not len(images)
        first = np.asarray(images[0] if len(images) else ())
        fits = first.dtype == np.uint8 and first.shape == (image_size, image_size, 3)
        if not fits and not tested_whole:
            raise UserError(
                f"{of} {name} split begins with {first.dtype} {first.shape}; expected images "
                f"of uint8 ({image_size}, {image_size}, 3)"
            )
        splits[name] = in_memory(images)
    return Dataset(opened.name, **splits)


def tracker(config: Config) -> Tracker:
    """The tracker of a configuration, which has not begun.

    Raises:
        UserError: it is no tracker, an option is bad, or its package is not installed.
    """
    found = made(config.tracker, "tracker")
    if not isinstance(found, Tracker):
        raise UserError(
            f"tracker._target_={config.tracker['_target_']}: expected a subclass of "
            "ctxenc.tracking.Tracker"
        )
    return found


def _split(images: Any, of: str, name: str) -> Images:
    for needed in ("image_size", "__len__", "__getitem__"):
        if not hasattr(images, needed):
            raise UserError(
                f"{of} {name} split has no {needed}; expected a ctxenc.data.images.Dataset"
            )
    return images


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
