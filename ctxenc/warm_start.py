"""A warm start: a new run begins with the trained weights of another, as far as they fit.

The other run, ``init_from=RUN`` or ``RUN@STEP``, is read by its own configuration, before anything
is written. A run that is resumed has its own checkpoint and needs the other no more.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ctxenc import step
from ctxenc.config.schema import Config
from ctxenc.errors import UserError
from ctxenc.parallel import devices
from ctxenc.paths import expanded
from ctxenc.run_folder.checkpoints import best_step, checksum, restore_discriminator
from ctxenc.state import Model, Variables, matched
from ctxenc.trained import TrainedModel

MOST_NAMED = 4  # arrays that do not fit, in a line of the log


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What a run begins with.

    `source` is the other run's folder with its step, ``RUN@STEP``; `weights` are host arrays by the
    network's name, ``generator`` and ``discriminator``; `lines` tell the log where they are from
    and what of them fits, `described` tells ``env.json``.
    """

    source: str
    weights: dict[str, Variables]
    lines: tuple[str, ...]
    described: dict[str, Any]

    @classmethod
    def of(cls, config: Config, model: Model) -> "WarmStart | None":
        """What a configuration's run begins with; None where it draws its weights, or has its own.

        Raises:
            UserError: no run, no checkpoint of that step, a damaged one, or nothing that fits.
        """
        if config.init_from is None or config.resume is not None:
            return None
        path, wanted = located(config.init_from)
        try:
            source = TrainedModel.load(path, "best" if wanted is None else str(wanted))
            weights = {part: _weights(source, model, part) for part in config.init_from_parts}
        except UserError as error:
            raise UserError(f"init_from={config.init_from}: {error}") from error
        found = {p: _fit(model, config.image_size, p, given) for p, given in weights.items()}
        told = [f"{part}: {text}" for part, (_, text) in found.items()]
        if not any(count for count, _ in found.values()):
            raise UserError(f"init_from={config.init_from}: nothing fits ({'; '.join(told)})")
        folder, given = source.run.path, {p: w for p, w in weights.items() if w is not None}
        described = {
            "run": str(folder),
            "name": source.config.name,
            **source.described,
            "parts": list(given),
            "checksum": f"{int(checksum(given)):08x}",
        }
        best = best_step(source.run.checkpoints)
        which = "as asked" if wanted is not None else "the latest" if best is None else "the best"
        first = f"{folder}, step {source.step} ({which}), {described['weights']} weights"
        return cls(f"{folder}@{source.step}", jax.device_get(given), (first, *told), described)


def located(text: str) -> tuple[Path, int | None]:
    """The folder and the step of ``RUN`` or ``RUN@STEP``; a folder of that very name is a RUN."""
    path, at, number = text.rpartition("@")
    if at and number.isdecimal() and not expanded(text).is_dir():
        return expanded(path), int(number)
    return expanded(text), None


def _weights(source: TrainedModel, model: Model, part: str) -> Variables | None:
    """A network of the other run; None where one of the two runs trains none."""
    if part == "generator":
        return source.variables
    if model.discriminator is None or source.model.discriminator is None:
        return None
    template = step.init.eval_shape(source.model, jax.random.key(0), source.config.image_size)
    template = devices.on_devices(template, devices.shardings()[0])
    return restore_discriminator(source.run.checkpoints, template, source.step)


def _fit(model: Model, size: int, part: str, given: Variables | None) -> tuple[int, str]:
    """(how many arrays of one network another run gives, the same in words)."""
    if given is None:
        none = "this run" if model.discriminator is None else "that run"
        return 0, f"not taken, as {none} trains none"
    network = getattr(step.init.eval_shape(model, jax.random.key(0), size), part)
    _, remaining = matched(network.variables, given)
    every = len(jax.tree.leaves(network.variables))
    count, more = every - len(remaining), len(remaining) - MOST_NAMED
    names = ", ".join(remaining[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    others = f"; not taken (shape): {names}" if names else ""
    return count, f"{count} of {every} arrays taken{others}"
