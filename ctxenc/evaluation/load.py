"""A trained generator and what it is tested on: its run's own images and masks, or others."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax.errors import FlaxError
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from ctxenc import step
from ctxenc.comparison.settings import Settings
from ctxenc.config import build, instantiate, schema
from ctxenc.config.checks import check
from ctxenc.config.compose import compose, parse, with_absolute_paths
from ctxenc.config.schema import Config, Role
from ctxenc.config.search_path import choices
from ctxenc.data.images import Dataset
from ctxenc.errors import UserError
from ctxenc.evaluation.test_split import TestSplit
from ctxenc.parallel import devices
from ctxenc.state import Model
from ctxenc.trained import TrainedModel


@dataclass(frozen=True)
class Setup:
    """A trained generator, and what it is tested on; `name` says what that is."""

    trained: TrainedModel
    config: Config
    model: Model
    dataset: Dataset
    name: str

    @property
    def test(self) -> TestSplit:
        """The test split with its frozen masks."""
        sharding = devices.shardings()[1]
        return TestSplit(self.dataset.test, self.model, self.config.batch_size, sharding)


def load(
    path: str | Path,
    checkpoint: str = "best",
    overrides: Sequence[str] = (),
    *,
    raw: bool = False,
) -> Setup:
    """A run's generator with the run's own test split and masks, where no override says else.

    Args:
        path: the run folder.
        checkpoint: ``best``, ``latest`` or the number of a saved step.
        overrides: Hydra's, of the keys that an evaluation may change (`ctxenc.config.schema`:
            `on_evaluate`).
        raw: the weights as the last step left them, also where an average was kept.

    Raises:
        UserError: no run, no checkpoint, an override of anything else, or data, masks or sizes
            that do not fit the generator.
    """
    trained = TrainedModel.load(path, checkpoint, raw=raw)
    composed = changed(trained.saved, overrides)
    config = check(composed)
    devices.check_batch(config.batch_size)
    model, box = trained.model, (config.mask_height, config.mask_width)
    if config.mask != trained.config.mask:
        mask = instantiate.strategy(config.mask)
        prediction = build.prediction_of_masks(model.prediction, mask, box, config.image_size)
        model = dataclasses.replace(model, mask=mask, prediction=prediction)
    _check_size(trained, model, config)
    dataset = build.dataset(config)
    _check_held_out(trained.config.dataset, config.dataset)
    chosen = Settings.of({group: _plain(composed[group]) for group in _groups()}).values
    words = [*(chosen[group] for group in _groups()), *map(_words, parse(overrides))]
    words += ["raw"] if model.averaged and raw else []
    found = Setup(trained, config, model, dataset, _folder_name(words))
    _check_missing(found.test)
    return found


def changed(saved: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """A run's configuration with overrides; a newly chosen mask reads the run's `mask_height`.

    Raises:
        UserError: an override of what a trained generator cannot change, or an unknown choice.
    """
    config, allowed, options = saved.copy(), schema.keys(lambda key: key.on_evaluate), []
    for override in parse(overrides):
        line, key = override.input_line, override.key_or_group
        known = key in allowed or key.split(".")[0] in _groups()
        if not known or override.package or override.type is not OverrideType.CHANGE:
            raise UserError(
                f"{line}: the generator is trained; only {', '.join(allowed)} and the options of "
                f"{' and '.join(_groups())} can be changed"
            )
        if override.is_sweep_override():
            raise UserError(f"{line}: expected one value")
        if key not in _groups():
            options.append(override)
        elif isinstance(override.value(), str):
            config[key] = _plain(compose([str(line)])[key])
        else:
            raise UserError(f"{line}: expected {', '.join(choices(key))}")
    for override in options:
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return with_absolute_paths(config)


def _groups() -> list[str]:
    """The groups of which an evaluation may choose another."""
    return [name for name in schema.groups() if schema.keys()[name].on_evaluate]


def _check_missing(test: TestSplit) -> None:
    """Refuse masks without a missing pixel, which has no error, or without a visible one."""
    missing = test.missing()
    if missing["least"] <= 0 or missing["most"] >= 100:
        raise UserError(
            f"mask: {missing['least']:g} to {missing['most']:g} % of the test images are missing; "
            "expected masks that leave some of every image missing and some visible"
        )


def _check_held_out(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse another split of the images that the generator was trained on."""
    key = schema.keys()["dataset"]
    # What images a group gives: its code, its folder, and the `name` that TFDS's are known by.
    images = {"_target_", "name", *key.folders} - {*key.places}
    if any(before.get(option) != now.get(option) for option in images):
        return
    for option in key.splits:
        if before.get(option) != now.get(option):
            raise UserError(
                f"dataset.{option}={now.get(option)}: must be {before.get(option)}: of the images "
                "that this run was trained on, only those that it held out are tested"
            )


def _check_size(trained: TrainedModel, model: Model, config: Config) -> None:
    """Refuse images of a size for which the generator has no weights, on shapes alone."""
    size = config.image_size
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    mask = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
    arrays = (trained.variables, images, mask, trained.fill_value)
    try:
        jax.eval_shape(lambda *given: step.fill(model, *given), *arrays)
    except (FlaxError, TypeError, ValueError):
        needed = trained.config.image_size
        raise UserError(
            f"image_size={size}: must be {needed}, as this generator's weights are for images of "
            f"{needed} × {needed}"
        ) from None


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False)


def _words(override: Override) -> str:
    """What an evaluation's name says of an override, beside the choices of its groups."""
    top, _, option = override.key_or_group.partition(".")
    key, line = schema.keys()[top], str(override.input_line)
    if option in key.places or override.key_or_group in _groups():
        return ""
    if option in key.folders:
        return Path(str(override.value())).name
    # Every image is tested once, whatever the batch.
    return line.removeprefix(f"{top}.") if option or key.role is Role.STATIC else ""


def _folder_name(words: Sequence[str]) -> str:
    """Words joined to the name of a folder."""
    name = "-".join(word for word in words if word)
    return "".join(c if c.isalnum() or c in "-_=.," else "_" for c in name)[:80].strip(".")
