"""A trained generator put before test images and masks: its run's own, or others by overrides."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf

from ctxenc import step
from ctxenc.comparison.settings import Settings
from ctxenc.config import build, instantiate
from ctxenc.config.checks import check
from ctxenc.config.compose import compose, parse, with_absolute_paths
from ctxenc.config.schema import Config
from ctxenc.config.search_path import choices
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError
from ctxenc.evaluation.test_split import TestSplit, frozen
from ctxenc.masks import MaskStrategy
from ctxenc.parallel import devices
from ctxenc.prediction import Prediction, are_boxes
from ctxenc.runs.folder import Run
from ctxenc.state import Model
from ctxenc.trained import TrainedModel

GROUPS = ("mask", "dataset")
KEYS = ("mask_height", "mask_width", "image_size", "batch_size")
SPLITS = ("test_fraction", "train_split", "test_split")  # what of a set is held out
UNTOLD = ("batch_size", "dataset.data_dir", "dataset.path")  # they change no figure, or are paths


@dataclass(frozen=True)
class Setting:
    """A trained generator, and what it is put before."""

    trained: TrainedModel
    config: Config
    model: Model
    dataset: Dataset
    name: str

    @property
    def test(self) -> TestSplit:
        """The test split with its frozen masks."""
        sharding = devices.split(devices.mesh())
        return TestSplit(self.dataset.test, self.model, self.config.batch_size, sharding)


def setting(
    path: str | Path,
    checkpoint: str = "best",
    overrides: Sequence[str] = (),
    *,
    raw: bool = False,
) -> Setting:
    """A run's generator before the run's own test split and masks, where no override says else.

    Args:
        path: the run folder.
        checkpoint: ``best``, ``latest`` or the number of a saved step.
        overrides: Hydra's, of `mask`, `dataset`, their options, `mask_height`, `mask_width`,
            `image_size` and `batch_size`.
        raw: the weights as the last step left them, also where an average was kept.

    Raises:
        UserError: no run, no checkpoint, an override of anything else, or data, masks or sizes
            that do not fit the generator.
    """
    run = Run(Path(path).expanduser())
    composed = changed(run.config, overrides)
    config = check(composed)
    devices.check_batch(config.batch_size)
    trained = TrainedModel.load(path, checkpoint, raw=raw)
    model = trained.model
    hole = (config.mask_height, config.mask_width)
    for key, got, takes in zip(
        ("mask_height", "mask_width"), hole, model.prediction.window, strict=True
    ):
        if got != takes and not model.prediction.whole:
            raise UserError(f"{key}={got}: this generator fills holes of {takes}; it takes {takes}")
    if config.mask != trained.config.mask:
        mask = instantiate.strategy(config.mask)
        _check_boxes(mask, model.prediction, config.image_size)
        seen = build.prediction_of_masks(model.prediction, mask, hole, config.image_size)
        model = dataclasses.replace(model, mask=mask, prediction=seen)
    _check_size(trained, model, config)
    dataset = build.dataset(config)
    _check_held_out(trained.config.dataset, config.dataset)
    chosen = Settings.of({group: _plain(composed[group]) for group in GROUPS}).values
    told = [*_told(overrides), *(["raw"] if model.averaged and raw else [])]
    name = _name([chosen["dataset"], chosen["mask"], *told])
    found = Setting(trained, config, model, dataset, name)
    _check_missing(found.test)
    return found


def changed(saved: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """A run's configuration with overrides; a newly chosen mask reads the run's `mask_height`.

    Raises:
        UserError: an override of what a trained generator cannot change, or an unknown choice.
    """
    config = saved.copy()
    read = parse(overrides)
    for override in read:
        key = override.key_or_group
        known = key.split(".")[0] in GROUPS or key in KEYS
        if not known or override.package or override.type is not OverrideType.CHANGE:
            raise UserError(
                f"{override.input_line}: the generator is trained; only mask, dataset, their "
                f"options, {', '.join(KEYS[:-1])} and {KEYS[-1]} can be changed"
            )
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: it takes one value")
        if key in GROUPS:
            if not isinstance(override.value(), str):
                raise UserError(f"{override.input_line}: it takes {', '.join(choices(key))}")
            node = compose([str(override.input_line)])[key]
            config[key] = _plain(node)
    for override in read:
        if override.key_or_group not in GROUPS:
            OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return with_absolute_paths(config)


def _check_boxes(mask: MaskStrategy, views: Prediction, size: int) -> None:
    """Refuse masks that a generator of boxes cannot fill."""
    if views.whole:
        return
    height, width = (side - 2 * views.band for side in views.window)
    sample = np.asarray(frozen(mask, jnp.arange(64), size))[..., 0] > 0
    if not are_boxes(sample, height, width):
        raise UserError(
            f"mask: this generator fills one box of {height} × {width} pixels, and these masks are "
            "of other shapes or sizes; a run trained with predict=image takes any"
        )


def _check_missing(test: TestSplit) -> None:
    """Refuse masks without a missing pixel, which has no error, or without a visible one."""
    missing = test.missing()
    if missing["least"] <= 0 or missing["most"] >= 100:
        raise UserError(
            f"mask: {missing['least']:g} to {missing['most']:g} % of the test images are missing; "
            "it takes masks that leave some of every image missing and some visible"
        )


def _check_held_out(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse another split of the images that the generator was trained on."""
    if any(before.get(key) != now.get(key) for key in ("_target_", "path", "name")):
        return
    for key in SPLITS:
        if before.get(key) != now.get(key):
            raise UserError(
                f"dataset.{key}={now.get(key)}: of the images that this run was trained on, only "
                f"those that it held out are tested; it takes {before.get(key)}"
            )


def _check_size(trained: TrainedModel, model: Model, config: Config) -> None:
    """Refuse images of a size for which the generator has no weights, on shapes alone."""
    size = config.image_size
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    mask = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
    try:
        jax.eval_shape(
            lambda *arrays: step.fill(model, *arrays),
            trained.variables,
            images,
            mask,
            trained.fill_value,
        )
    except (FlaxError, TypeError, ValueError):
        trained_on = trained.config.image_size
        raise UserError(
            f"image_size={size}: this generator's weights are for {trained_on} × {trained_on} "
            f"images; it takes {trained_on}"
        ) from None


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False)


def _told(overrides: Sequence[str]) -> list[str]:
    """The overrides that an evaluation's name tells beside those of `mask` and `dataset`."""
    told = [o for o in overrides if o.split("=")[0] not in (*GROUPS, *UNTOLD)]
    folders = [o for o in overrides if o.startswith("dataset.path=")]
    told += [Path(folder.split("=", 1)[1].strip("'\"")).name for folder in folders]
    return [o.removeprefix("dataset.").removeprefix("mask.") for o in told]


def _name(words: Sequence[str]) -> str:
    """Words joined to the name of a folder."""
    name = "-".join(words)
    return "".join(c if c.isalnum() or c in "-_=.," else "_" for c in name)[:80].strip(".")
