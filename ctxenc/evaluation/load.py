"""A trained generator and what it is tested on: its run's own images and masks, or others."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.errors import FlaxError
from hydra.core.override_parser.types import OverrideType
from jaxtyping import Array, Float
from omegaconf import DictConfig, OmegaConf

from ctxenc import step
from ctxenc.comparison.settings import Settings
from ctxenc.config import build, instantiate, schema
from ctxenc.config.checks import check
from ctxenc.config.compose import as_typed, compose, parse, with_absolute_paths
from ctxenc.config.schema import Config
from ctxenc.config.search_path import choices
from ctxenc.data.images import Dataset, fingerprint
from ctxenc.errors import UserError
from ctxenc.evaluation.held_out import Batch, HeldOutSplit
from ctxenc.parallel import devices
from ctxenc.trained import TrainedModel

KEYS = tuple(schema.keys(lambda key: key.on_evaluate))  # that an evaluation may change


@dataclass(frozen=True)
class Setup:
    """A trained generator and the test split with its masks.

    `name` says which they are, and `own` whether they are the run's own.
    """

    trained: TrainedModel
    dataset: Dataset
    test: HeldOutSplit
    name: str
    own: bool

    def fill(self, batch: Batch) -> Float[Array, "batch height width 3"]:
        """The generator's composites, in [-1, 1]."""
        variables, fill_value = self.trained.variables, self.trained.fill_value
        return step.fill(self.test.model, variables, batch.images, batch.mask, fill_value)


def load(path: str | Path, checkpoint: str, overrides: Sequence[str], *, raw: bool) -> Setup:
    """A run's generator with the run's own test split and masks, where no override says else.

    Raises:
        UserError: no run, no checkpoint, an override of a key that an evaluation may not change
            (`ctxenc.config.schema`: `on_evaluate`), or data, masks or sizes that do not fit the
            generator.
    """
    trained = TrainedModel.load(path, checkpoint, raw=raw)
    overrides = as_typed(overrides, trained.saved)
    before, moved = _with_hole_of(trained), functools.partial(_is_moved, trained)
    composed = changed(before, overrides, moved)
    config = check(composed)
    devices.check_batch(config.batch_size)
    model = trained.model
    if config.mask != trained.config.mask:
        mask, box = instantiate.strategy(config.mask), (config.mask_height, config.mask_width)
        geometry = model.geometry.with_masks(mask, box, config.image_size)
        model = dataclasses.replace(model, mask=mask, geometry=geometry)
    size, needed = config.image_size, trained.config.image_size
    blank = np.zeros((1, size, size, 3), np.uint8), np.zeros((1, size, size, 1), np.float32)
    fill = functools.partial(step.fill, model)
    try:  # on shapes alone
        jax.eval_shape(fill, trained.variables, *blank, trained.fill_value)
    except (FlaxError, TypeError, ValueError):
        raise UserError(
            f"image_size={size}: must be {needed}, as this generator's weights are for images of "
            f"{needed} × {needed}"
        ) from None
    dataset = build.dataset(config, "test")
    check_held_out(trained.config.dataset, config.dataset)
    test = HeldOutSplit(dataset.test, model, config.batch_size, devices.shardings()[1])
    _check_missing(test)
    own = _tested(config) == _tested(check(before)) or (
        _tested(config, "path") == _tested(trained.config, "path")
        and fingerprint(dataset.train) == trained.run.dataset.get("train_fingerprint")
    )
    name = named(composed, [] if own else overrides, _groups(KEYS))
    return Setup(trained, dataset, test, name + which(trained, checkpoint, raw=raw), own)


def _tested(config: Config, *without: str) -> dict[str, Any]:
    """All that decides on the images and masks that are tested, but for some options."""
    found = {name: getattr(config, name) for name in KEYS if schema.changes_test(name)}
    left_out = {name: (*without, *schema.keys()[name].places) for name in found}
    return {
        name: {o: v for o, v in value.items() if o not in left_out[name]}
        if isinstance(value, dict)
        else value
        for name, value in found.items()
    }


def _is_moved(trained: TrainedModel, composed: DictConfig) -> bool:
    """Whether a run was trained on the images of this folder, wherever it was then."""
    there = trained.saved.copy()
    if "path" not in there.dataset:
        return False
    there.dataset.path = composed.dataset.path
    with contextlib.suppress(UserError):  # too few to be split as the run's own were
        train = build.dataset(check(there), "test").train
        return fingerprint(train) == trained.run.dataset.get("train_fingerprint")
    return False


def which(trained: TrainedModel, checkpoint: str, *, raw: bool) -> str:
    """The end of a folder's name: of which weights its figures are, where not of the usual."""
    name = "-raw" if raw and trained.model.averaged else ""
    if checkpoint != "best":
        name += f"-step{checkpoint}" if checkpoint.isdecimal() else f"-{checkpoint}"
    return name


def _groups(keys: Sequence[str]) -> list[str]:
    return [name for name in schema.groups() if name in keys]


def changed(
    saved: DictConfig, overrides: Sequence[str], is_moved: Callable[[DictConfig], bool]
) -> DictConfig:
    """A run's configuration as `overridden`, to be evaluated.

    All images of another folder are tested, where neither its subfolders nor an override say which:
    none was trained on. Where it `is_moved`, the run's own, its test split is.
    """
    config = overridden(saved, overrides, KEYS)
    another = config.dataset.get("path") != saved.dataset.get("path")
    given = {override.key_or_group for override in parse(overrides)}
    whole = "test_fraction" in config.dataset and "dataset.test_fraction" not in given
    if another and whole and not is_moved(config):
        config.dataset.test_fraction = 1.0
    return config


def overridden(saved: DictConfig, overrides: Sequence[str], allowed: Sequence[str]) -> DictConfig:
    """A run's configuration with overrides, the choices of groups before their options.

    A newly chosen mask reads the run's own `mask_height`. `allowed` are the keys that may change.

    Raises:
        UserError: an override of what a trained generator cannot change, or an unknown choice.
    """
    config, groups = saved.copy(), _groups(allowed)
    for override in sorted(parse(overrides), key=lambda o: o.key_or_group not in groups):
        line, key = override.input_line, override.key_or_group
        known = key in allowed or key.split(".")[0] in groups
        if not known or override.package or override.type is not OverrideType.CHANGE:
            raise UserError(
                f"{line}: the generator is trained; only {', '.join(allowed)} and the options of "
                f"{' and '.join(groups)} can be changed"
            )
        if override.is_sweep_override():
            raise UserError(f"{line}: expected one value")
        if key not in groups:
            OmegaConf.update(config, key, override.value(), force_add=True)
        elif isinstance(override.value(), str):
            config[key] = OmegaConf.to_container(compose([str(line)])[key], resolve=False)
        else:
            raise UserError(f"{line}: expected {', '.join(choices(key))}")
    with_absolute_paths(config)
    return config


def _with_hole_of(trained: TrainedModel) -> DictConfig:
    """The run's configuration; where its hole is half of the image, it is so of any `image_size`.

    But a generator of the hole fills boxes of its own size only, and keeps it.
    """
    saved, before = trained.saved.copy(), trained.config
    for side in ("mask_height", "mask_width"):
        if trained.model.geometry.whole and getattr(before, side) == before.image_size // 2:
            saved[side] = schema.HALF
    return saved


def _check_missing(test: HeldOutSplit) -> None:
    """Refuse masks without a missing pixel, which has no error, or without a visible one."""
    missing = test.frozen_masks.missing
    if missing["least"] <= 0 or missing["most"] >= 100:
        raise UserError(
            f"mask: {missing['least']:g} to {missing['most']:g} % of the test images are missing; "
            "expected masks that leave some of every image missing and some visible: mask=center"
        )


def check_held_out(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse another split of the images that the generator was trained on."""
    key = schema.keys()["dataset"]
    # What images a group gives: its code, its folder, and the `name` that TFDS's are known by.
    images = {"_target_", "name", *key.folders} - {*key.places}
    differ = [option for option in (*images, *key.splits) if before.get(option) != now.get(option)]
    if differ and (option := differ[0]) in key.splits:
        raise UserError(
            f"dataset.{option}={now.get(option)}: must be {before.get(option)}: of the images "
            "that this run was trained on, only those that it held out are tested"
        )


def named(composed: DictConfig, overrides: Sequence[str], groups: Sequence[str]) -> str:
    """The name of a folder of figures: its groups' choices, and what else was overridden."""
    nodes = {name: OmegaConf.to_container(composed[name], resolve=False) for name in groups}
    chosen = Settings.of(nodes).values
    words = [chosen[name] for name in nodes]
    for override in parse(overrides):
        top, _, option = override.key_or_group.partition(".")
        if override.key_or_group in nodes or not schema.changes_test(override.key_or_group):
            continue
        if option in schema.keys()[top].folders:
            words.append(Path(str(override.value())).name)
        else:
            words.append(str(override.input_line).removeprefix(f"{top}."))
    name = "-".join(filter(None, words))
    return "".join(c if c.isalnum() or c in "-_=.," else "_" for c in name)[:80].strip(".")
