"""A trained generator, read back from its run folder."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from omegaconf import DictConfig

from ctxenc import runtime
from ctxenc.config import build
from ctxenc.config.checks import check, compatible
from ctxenc.config.schema import Config
from ctxenc.errors import UserError
from ctxenc.parallel import devices
from ctxenc.paths import expanded
from ctxenc.run_folder.checkpoints import best_step, restore_generator, saved_steps
from ctxenc.run_folder.folder import Run
from ctxenc.state import Model, Variables


@dataclass(frozen=True)
class TrainedModel:
    """One checkpoint's generator with what is needed to use it.

    `saved` is the run's configuration as this version reads it, `config` the same, checked; `model`
    hides what is missing, also where nothing was hidden in training. `fill_value` fills the hole
    before the generator sees the image, in [-1, 1]; `averaged` says whether `variables` are the
    moving average of those that training left.
    """

    run: Run
    saved: DictConfig
    config: Config
    model: Model
    variables: Variables
    fill_value: Float[Array, " 3"]
    step: int
    averaged: bool = False

    @classmethod
    def load(
        cls, path: str | Path, checkpoint: str = "best", *, raw: bool = False
    ) -> "TrainedModel":
        """The generator of a run folder.

        `checkpoint` is ``best`` (by validation; the latest where none came before a save),
        ``latest``, or the number of a saved step; `raw` takes the weights as the last step left
        them, also where an average was kept.

        Raises:
            UserError: not a run folder, no such checkpoint, or a damaged one.
        """
        run = Run(expanded(path))
        saved = compatible(run.config, run.path)
        runtime.check_settings()
        runtime.keep_programs()
        runtime.keep_memory()
        runtime.platform()  # or refused
        config = check(saved)
        model = build.model(config)
        if not model.geometry.hides:
            model = replace(model, geometry=replace(model.geometry, hides=True))
        if not run.checkpoints.is_dir():
            raise UserError(f"{run.path}: no checkpoint yet ({run.checkpoints})")
        step = _wanted(run.checkpoints, checkpoint)
        shape = 1, config.image_size, config.image_size, model.geometry.channels
        init = partial(model.generator.init, train=False)
        found = jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
        template = {"params": found["params"], "batch_stats": found.get("batch_stats", {})}
        template = devices.on_devices(template, devices.shardings()[0])
        variables, ema = restore_generator(run.checkpoints, template, step, averaged=model.averaged)
        chosen, averaged = (variables, False) if raw or ema is None else (ema, True)
        fill_value = _fill_value(run, config)
        return cls(run, saved, config, model, chosen, fill_value, step, averaged)

    @property
    def described(self) -> dict[str, Any]:
        """Which `step`, and which of its `weights`: ``averaged``, or ``raw`` as it left them."""
        return {"step": self.step, "weights": "averaged" if self.averaged else "raw"}


def _wanted(folder: Path, name: str) -> int:
    steps = saved_steps(folder)
    if not steps:
        raise UserError(f"{folder}: no whole checkpoint here")
    if name == "latest":
        return steps[-1]
    if name == "best":
        best = best_step(folder)
        return steps[-1] if best is None else best
    if not name.isdecimal():
        raise UserError(f"checkpoint={name}: expected best, latest or the number of a saved step")
    return int(name)


def _fill_value(run: Run, config: Config) -> Float[Array, " 3"]:
    fill: Any = config.fill_value
    if fill != "mean":
        return jnp.full(3, fill, jnp.float32)
    mean = run.dataset.get("mean_colour")
    if mean is None:
        raise UserError(f"{run.path / 'dataset.json'}: mean_colour={mean}: expected three numbers")
    return jnp.asarray(mean, jnp.float32)
