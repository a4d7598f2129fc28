"""The keys of a run's configuration: all that is known of each of them, in its entry.

Type, default, range and meaning of a top-level key stand here, and so does what it does to a run:
whether it decides on the compiled step or is a number that this is given, whether it decides on
what figures are of, what `resume` and `ctxenc.evaluate` may do with it, and what runs did before it
existed. Help, checks, tables and the step's arguments follow: a new key is declared by one entry.

The options inside a group (`dataset`, `mask`, …) are typed by the function or class that the
group's ``_target_`` names: see `ctxenc.config.instantiate`.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ctxenc.config.keys import UNCHANGED, Key, Role, group, key
from ctxenc.metrics.registry import LABEL_ACCURACY, MAIN, measured_in_training

PRIMARY = "train"  # conf/train.yaml, with which a run begins where nothing else is said
NETWORKS = ("generator", "discriminator")
HALF = "${half:${image_size}}"  # a number in every composed configuration (`ctxenc.config.compose`)


def _is_fill(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value == "mean" or (number and -1 <= value <= 1)


def _is_inside(value: str) -> bool:
    path = Path(value)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _are_networks(value: tuple[str, ...]) -> bool:
    return bool(value) and len(set(value)) == len(value) and {*value} <= {*NETWORKS}


def _is_folder_of_a_run(value: str) -> bool:
    parts = Path(value).parts
    return bool(parts) and ".." not in parts and parts[0] not in (".hydra", "tensorboard")


@dataclass
class Config:
    """A whole run. Where `lambda_rec` is None, `weights` has what stands for it."""

    name: str = key(
        "context_encoder",
        Role.LOCATION,
        "run folders land in experiments/<name>/",
        valid=_is_inside,
        expected="a relative path without ..",
    )
    seed: int = key(
        0,
        Role.INPUT,
        "seeds the initial weights, masks, flips and data order",
        at_least=0,
        at_most=2**32 - 1,
    )
    resume: str | None = key(
        None, Role.LOCATION, "run folder to continue, in place", null="start a new run"
    )
    resume_step: int | None = key(
        None,
        Role.LOCATION,
        "saved step to resume from; later ones are deleted",
        at_least=1,
        null="the latest",
        on_resume="session",
    )
    init_from: str | None = key(
        None,
        Role.INPUT,
        "run folder whose trained weights a new run begins with, where they fit: RUN, which is its "
        "best saved step (or the latest, where none was validated), or RUN@STEP",
        null="weights drawn anew",
        folder=True,
    )
    init_from_parts: tuple[str, ...] = key(
        NETWORKS,
        Role.INPUT,
        "the networks whose weights init_from gives",
        valid=_are_networks,
        expected="[generator], [discriminator] or [generator,discriminator]",
    )
    distributed: bool = key(
        False,
        Role.NO_EFFECT,
        "be one of several processes that train one run: those of a Slurm job, or those that "
        "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID name",
        on_resume="session",
    )

    n_epoch: int = key(
        20, Role.INPUT, "passes over the training split", at_least=1, on_resume="extends"
    )
    max_steps: int | None = key(
        None,
        Role.INPUT,
        "stop after this many steps",
        at_least=1,
        null="n_epoch decides",
        on_resume="extends",
    )
    batch_size: int = key(
        64, Role.INPUT, "images a step, over all devices", at_least=1, on_evaluate=True
    )
    learning_rate_g: float = key(
        2e-3, Role.TRACED, "learning rate of the generator", at_least=0, before=5e-4
    )
    learning_rate_d: float = key(
        2e-4, Role.TRACED, "learning rate of the discriminator", at_least=0, before=1e-4
    )
    lambda_adv: float = key(
        1e-3, Role.TRACED, "weight of the adversarial loss", at_least=0, term="adversarial"
    )
    lambda_rec: float | None = key(
        None, Role.TRACED, "weight of the reconstruction loss", at_least=0, null="1 - lambda_adv"
    )
    lambda_seam: float = key(
        0.0,
        Role.TRACED,
        "weight of the loss's seam term, where it has one",
        at_least=0,
        term="seam",
    )
    lambda_r1: float = key(
        0.0,
        Role.TRACED,
        "weight of the loss's gradient penalty, where it has one",
        at_least=0,
        term="gradient_penalty",
    )
    lambda_label: float = key(
        0.0,
        Role.TRACED,
        "weight of the loss's label term, where it has one",
        at_least=0,
        term="label",
    )
    ema_decay: float | None = key(
        0.995,
        Role.TRACED,
        "decay of an exponential moving average of the generator's weights, which is measured "
        "beside the raw ones",
        at_least=0,
        at_most=0.999999,
        null="no average",
        before=None,
    )

    image_size: int = key(
        32,
        Role.STATIC,
        "images are resized and cropped to this many pixels",
        at_least=8,
        at_most=4096,
        on_evaluate=True,
    )
    mask_height: int = key(
        HALF,
        Role.STATIC,
        "height of the hole in pixels; by default half of image_size, rounded down",
        at_least=1,
        measured_on=True,
        on_evaluate=True,
        before=16,
    )
    mask_width: int = key(
        HALF,
        Role.STATIC,
        "width of the hole in pixels; by default half of image_size, rounded down",
        at_least=1,
        measured_on=True,
        on_evaluate=True,
        before=16,
    )
    fill_value: float | str = key(
        1.0,
        Role.TRACED,
        "what the generator is shown in the hole: a value, or the training split's mean colour",
        valid=_is_fill,
        expected="a number from -1 to 1, or mean",
    )
    predict: str | None = key(
        None,
        Role.STATIC,
        "what the generator makes: the hole's box or the whole image",
        one_of=("hole", "image"),
        null="the hole where every mask is a box of mask_height × mask_width, else the image",
    )
    overlap: float = key(
        0.0,
        Role.STATIC,
        "share of the box's shorter side, along its edges, that is visible and predicted too: "
        "1/16 is 4 of 64 pixels",
        at_least=0,
        at_most=0.49,
        measured_on=True,
    )
    context_weight: float = key(
        1.0,
        Role.TRACED,
        "weight in the reconstruction loss of predicted pixels that are visible: an overlap's, or "
        "the whole image's",
        at_least=0,
    )
    discriminator_input: str = key(
        "prediction",
        Role.STATIC,
        "what the discriminator sees: the prediction as it is, the composite with the real "
        "context, or the hole alone (with the band of its overlap)",
        one_of=("prediction", "composite", "hole"),
    )
    mask_channel: bool = key(False, Role.STATIC, "give the generator the mask as a fourth channel")
    precision: str = key(
        "float32",
        Role.STATIC,
        "precision of the networks' arithmetic; parameters, statistics and losses are float32, and "
        "on CPU all but the operands of the convolutions' products; auto is bfloat16 where the "
        "processor has instructions for it, and the run's configuration says which it was",
        one_of=("float32", "bfloat16", "auto"),
    )
    flip: bool = key(True, Role.STATIC, "flip training images left to right at random")
    num_workers: int = key(
        2, Role.NO_EFFECT, "threads that decode images of sets too large for memory", at_least=1
    )

    num_img: int = key(6, Role.NO_EFFECT, "validation images in a sample grid", at_least=1)
    n_update: int = key(50, Role.NO_EFFECT, "steps between sample grids", at_least=1)
    log_every: int = key(10, Role.NO_EFFECT, "steps between lines of metrics.jsonl", at_least=1)
    eval_every: int | None = key(
        None,
        Role.NO_EFFECT,
        "steps between validations, each with a checkpoint",
        at_least=1,
        null="an epoch, or several where they are shorter than 100 steps",
    )
    monitor: str = key(
        MAIN,
        Role.NO_EFFECT,
        "validation metric by which a sweep ranks its runs, and which a search optimises (a run's "
        "best step is by psnr_db)",
        one_of=(*measured_in_training(), LABEL_ACCURACY),
    )
    samples_dir: str = key(
        "samples",
        Role.LOCATION,
        "sample grids land here, inside the run folder unless absolute",
        valid=_is_folder_of_a_run,
        expected="a folder without .., and neither .hydra nor tensorboard",
    )
    save_dir: str = key(
        "checkpoints",
        Role.LOCATION,
        "checkpoints land here, inside the run folder unless absolute",
        valid=_is_folder_of_a_run,
        expected="a folder without .., and neither .hydra nor tensorboard",
    )

    dataset: Any = group(
        Role.INPUT,
        "where images come from",
        package="ctxenc.data",
        measured_on=True,
        on_evaluate=True,
        folders=("path", "data_dir"),
        places=("data_dir",),
        splits=("test_fraction", "train_split", "validation_split", "test_split"),
    )
    mask: Any = group(
        Role.STATIC,
        "which pixels are missing",
        package="ctxenc.masks",
        measured_on=True,
        on_evaluate=True,
        folders=("folder",),
    )
    loss: Any = group(
        Role.STATIC, "the terms of both networks' losses", package="ctxenc.losses", before="joint"
    )
    model: Any = group(
        Role.STATIC, "the generator and the discriminator", package="ctxenc.models", before="cifar"
    )
    optimizer: Any = group(
        Role.STATIC, "how both networks' weights are updated", package="ctxenc.optim", before="adam"
    )
    schedule: Any = group(
        Role.STATIC, "how the learning rates change over a run", package="ctxenc.optim"
    )
    augment: Any = group(
        Role.STATIC,
        "how training images are changed at random, beside `flip`",
        package="ctxenc.augment",
        before="none",
    )
    tracker: Any = group(
        Role.LOCATION,
        "what is told of a run, beside TensorBoard",
        package="ctxenc.tracking",
        folders=("folder",),
        on_resume="saved",
    )

    @property
    def weights(self) -> tuple[float, float]:
        """(lambda_rec, lambda_adv), with lambda_rec = 1 - lambda_adv where it is null."""
        rec = 1.0 - self.lambda_adv if self.lambda_rec is None else self.lambda_rec
        return rec, self.lambda_adv

    @property
    def best_by(self) -> str:
        """The validation metric of a run's best step: of labels where only labels are learnt."""
        return MAIN if any(self.weights) else LABEL_ACCURACY


@functools.cache
def fields() -> dict[str, dataclasses.Field]:
    """Every top-level key, in the order of the schema."""
    return {f.name: f for f in dataclasses.fields(Config)}


def keys(where: Callable[[Key], Any] = lambda key: True) -> dict[str, Key]:
    """What is known of every key, groups among them, or only of those for which `where` is true."""
    found = {name: f.metadata["key"] for name, f in fields().items()}
    return {name: key for name, key in found.items() if where(key)}


@functools.cache
def groups() -> tuple[str, ...]:
    """The keys that are filled by a choice of ``conf/<key>/``."""
    return tuple(name for name, f in fields().items() if f.metadata.get("group"))


def before() -> dict[str, Any]:
    """The value of each key in a folder that lacks it, as it was saved before the key existed.

    A group's is a choice; one that is not here did what its default does.
    """
    values = {name: f.default for name, f in fields().items() if name not in groups()}
    known = keys(lambda key: key.before is not UNCHANGED)
    return values | {name: key.before for name, key in known.items()}


def traced() -> tuple[str, ...]:
    """The keys whose values the compiled step is given as numbers."""
    return tuple(keys(lambda key: key.role is Role.TRACED))


def changes_test(key: str) -> bool:
    """Whether a dotted key, of those that `ctxenc.evaluate` may change, changes what is tested.

    The batch size does not, nor does a place.
    """
    top, _, option = key.partition(".")
    known = keys().get(top)
    if known is None or option in known.places:
        return known is None
    return top in groups() or known.role is Role.STATIC


def types(field: dataclasses.Field) -> tuple[Any, ...]:
    """The types that a key's value may have."""
    return get_args(field.type) or (field.type,)


def expected(field: dataclasses.Field) -> str:
    """What a key may be, in words: ``a number of at least 0, or null``."""
    known: Key = field.metadata["key"]
    words = known.expected or " or ".join(known.one_of)
    if not words:
        kinds = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        words = next((word for kind, word in kinds.items() if kind in types(field)), "a value")
        if known.at_most is not None:
            words += f" from {known.at_least} to {known.at_most}"
        elif known.at_least is not None:
            words += f" of at least {known.at_least}"
    return f"{words} or null" if known.null else words
