"""The schema of a run's configuration: what every top-level key means and which values it takes.

The values are in ``conf/``; this module gives them types and ranges. The options inside a group
(`dataset`, `mask`, …) are typed by the function or class that the group's ``_target_`` names:
see `ctxenc.config.targets`.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

GROUPS = ("dataset", "mask", "loss", "model", "optimizer", "schedule")


def knob(
    meaning: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    one_of: tuple[str, ...] | None = None,
    null: str | None = None,
) -> Any:
    """A key of the schema: its meaning, its range, and what `null` does where null is allowed."""
    limits = {"at_least": at_least, "at_most": at_most}
    return dataclasses.field(
        default=dataclasses.MISSING,
        metadata={"meaning": meaning, "limits": limits, "one_of": one_of, "null": null},
    )


@dataclass
class Config:
    """A whole run. `lambda_rec` is null until `weights` resolves it."""

    name: str = knob("run folders land in experiments/<name>/")
    seed: int = knob(
        "of the initial weights, masks, flips and data order", at_least=0, at_most=2**32 - 1
    )
    resume: str | None = knob("run folder to go on with, in place", null="start a new run")
    resume_step: int | None = knob(
        "saved step to resume from; later ones are deleted", at_least=1, null="the latest"
    )
    distributed: bool = knob(
        "be one of several processes that train one run: those of a Slurm job, or those that "
        "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID name"
    )

    n_epoch: int = knob("passes over the training split", at_least=1)
    max_steps: int | None = knob("stop after this many steps", at_least=1, null="n_epoch decides")
    batch_size: int = knob("images a step, over all devices", at_least=1)
    learning_rate_g: float = knob("learning rate of the generator", at_least=0)
    learning_rate_d: float = knob("learning rate of the discriminator", at_least=0)
    lambda_adv: float = knob("weight of the adversarial loss", at_least=0)
    lambda_rec: float | None = knob(
        "weight of the reconstruction loss", at_least=0, null="1 - lambda_adv"
    )
    lambda_seam: float = knob("weight of the loss's seam term, where it has one", at_least=0)
    lambda_r1: float = knob("weight of the loss's penalty, where it has one", at_least=0)
    average: float | None = knob(
        "decay of a moving average of the generator's weights, which is tested beside the raw ones",
        at_least=0,
        at_most=0.999999,
        null="no average",
    )

    image_size: int = knob(
        "images are resized and cropped to this many pixels", at_least=8, at_most=4096
    )
    mask_height: int = knob("height of the hole in pixels", at_least=1)
    mask_width: int = knob("width of the hole in pixels", at_least=1)
    mask_fill: float | str = knob(
        "what fills the hole: a value, or the training split's mean colour"
    )
    predict: str | None = knob(
        "what the generator makes: the hole's box or the whole image",
        one_of=("hole", "image"),
        null="the hole where every mask is a box of mask_height × mask_width, else the image",
    )
    overlap: float = knob(
        "share of the box's shorter side, along its edges, that is visible and predicted too: "
        "1/16 is 4 of 64 pixels",
        at_least=0,
        at_most=0.49,
    )
    context_weight: float = knob(
        "weight in the reconstruction loss of predicted pixels that are visible: an overlap's, or "
        "the whole image's",
        at_least=0,
    )
    judge: str = knob(
        "what the discriminator sees: the prediction as it is, the composite with the real "
        "context, or the hole alone (with the band of its overlap)",
        one_of=("prediction", "composite", "hole"),
    )
    mask_channel: bool = knob("give the generator the mask as a fourth channel")
    precision: str = knob(
        "of the networks' arithmetic; parameters, statistics and losses are float32",
        one_of=("float32", "bfloat16"),
    )
    flip: bool = knob("flip training images left to right at random")
    workers: int = knob("threads that decode images of sets too large for memory", at_least=1)

    num_img: int = knob("test images in a sample grid", at_least=1)
    n_update: int = knob("steps between sample grids", at_least=1)
    log_every: int = knob("steps between lines of metrics.jsonl", at_least=1)
    eval_every: int | None = knob(
        "steps between tests, each with a checkpoint",
        at_least=1,
        null="an epoch, or several where they are shorter than 100 steps",
    )
    objective: str = knob(
        "test figure by which a sweep ranks its runs, and which a search makes as good as it can",
        one_of=("psnr_db", "ssim", "l1_percent", "l2_percent", "psnr_pooled_db"),
    )
    samples_dir: str = knob("sample grids land here, inside the run folder unless absolute")
    save_dir: str = knob("checkpoints land here, inside the run folder unless absolute")

    dataset: Any = dataclasses.field(default=dataclasses.MISSING)
    mask: Any = dataclasses.field(default=dataclasses.MISSING)
    loss: Any = dataclasses.field(default=dataclasses.MISSING)
    model: Any = dataclasses.field(default=dataclasses.MISSING)
    optimizer: Any = dataclasses.field(default=dataclasses.MISSING)
    schedule: Any = dataclasses.field(default=dataclasses.MISSING)

    @property
    def weights(self) -> tuple[float, float]:
        """(lambda_rec, lambda_adv), with lambda_rec = 1 - lambda_adv where it is null."""
        rec = 1.0 - self.lambda_adv if self.lambda_rec is None else self.lambda_rec
        return rec, self.lambda_adv


def knobs() -> dict[str, dataclasses.Field]:
    """The documented top-level keys, in the order of the schema."""
    return {f.name: f for f in dataclasses.fields(Config) if "meaning" in f.metadata}


def takes(field: dataclasses.Field) -> str:
    """What a key takes, in words: ``a number of at least 0, or null``."""
    kinds = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    kind = next((word for type_, word in kinds.items() if type_ in types(field)), "a value")
    if field.name == "mask_fill":
        return "a number of -1 to 1, or mean"
    if field.metadata["one_of"]:
        null = ("null",) if field.metadata["null"] else ()
        return " or ".join((*field.metadata["one_of"], *null))
    limits = field.metadata["limits"]
    low, high = limits["at_least"], limits["at_most"]
    ranges = {(True, False): f"of at least {low}", (True, True): f"of {low} to {high}"}
    words = [kind, ranges.get((low is not None, high is not None), "")]
    words += ["or null"] if field.metadata["null"] else []
    return " ".join(word for word in words if word)


def types(field: dataclasses.Field) -> tuple[Any, ...]:
    """The types that a key's value may have."""
    return get_args(field.type) or (field.type,)


def config_dir() -> Path:
    """The folder of the YAML files: inside the package once installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def choices(group: str) -> dict[str, str]:
    """Each choice of a group and its one-sentence description: the first comment of its file."""
    return {f.stem: _description(f) for f in sorted((config_dir() / group).glob("*.yaml"))}


def _description(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = (line[2:] for line in lines if line.startswith("# ") and line[2] != "@")
    return next(comments, "")
