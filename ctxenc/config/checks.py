"""Whether a composed configuration is one that can run: its keys' types, ranges and company."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config.schema import GROUPS, Config, config_dir, knobs, takes, types
from ctxenc.errors import UserError

LATER = {  # keys that the first runs were saved without; their defaults are what those runs did
    *("resume_step", "distributed", "lambda_seam", "lambda_r1", "average", "predict", "overlap"),
    *("context_weight", "judge", "mask_channel", "objective", "schedule"),
}


def check(composed: DictConfig) -> Config:
    """The composed configuration with every top-level key's type and range checked.

    Raises:
        UserError: naming the key, what it got and what it takes.
    """
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'config'}: {_first_line(error)}") from None
    unknown = values.keys() - {field.name for field in dataclasses.fields(Config)}
    if unknown:
        raise UserError(f"{min(map(str, unknown))}: no such key; --help lists every key")
    values = {**_came_later(LATER - values.keys()), **values}
    absent = [f.name for f in dataclasses.fields(Config) if f.name not in values]
    if absent:
        raise UserError(f"{absent[0]}: it has no value; leave its default in place")
    for key, field in knobs().items():
        values[key] = _checked(key, values[key], field)
    for key in GROUPS:
        if not isinstance(values[key], dict):
            raise UserError(f"{key}={_shown(values[key])}: it takes a choice of the group")
    config = Config(**values)
    _check_together(config)
    return config


def _came_later(absent: Collection[str]) -> dict[str, Any]:
    """The defaults of keys that a configuration saved by an earlier version does not have."""
    if not absent:
        return {}
    defaults: Any = OmegaConf.to_container(OmegaConf.load(config_dir() / "train.yaml"))
    if "schedule" in absent:
        node = OmegaConf.load(config_dir() / "schedule" / "constant.yaml")
        defaults["schedule"] = OmegaConf.to_container(node)
    return {key: defaults[key] for key in absent}


def _checked(key: str, value: Any, field: dataclasses.Field) -> Any:
    """One key's value, converted to its type as OmegaConf converts, and within its range."""
    refusal = UserError(
        f"{key}={_shown(value)}: it takes {takes(field)} ({field.metadata['meaning']})"
    )
    if type(value) is int and float in types(field):
        value = float(value)  # OmegaConf takes a whole number for text where both are allowed
    cell = dataclasses.make_dataclass("Cell", [(key, field.type)])
    try:
        value = OmegaConf.structured(cell(**{key: value}))[key]
    except OmegaConfBaseException:
        raise refusal from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        limits = field.metadata["limits"]
        low, high = limits["at_least"], limits["at_most"]
        if (
            not abs(value) < float("inf")
            or (low is not None and value < low)
            or (high is not None and value > high)
        ):
            raise refusal
    if isinstance(value, str) and not value.strip():
        raise refusal
    if field.metadata["one_of"] and value not in (*field.metadata["one_of"], None):
        raise refusal
    if key == "name" and (Path(value).is_absolute() or ".." in Path(value).parts):
        raise refusal
    if key in ("samples_dir", "save_dir"):
        parts = Path(value).parts
        if not parts or ".." in parts or parts[0] in (".hydra", "tensorboard"):
            raise refusal
    if key == "mask_fill" and not (value == "mean" or _is_pixel(value)):
        raise refusal
    return value


def _check_together(config: Config) -> None:
    """Refuse keys that are fine alone and make no sense together."""
    if config.resume_step is not None and config.resume is None:
        raise UserError(f"resume_step={config.resume_step}: it goes with resume=RUN")
    if Path(config.samples_dir) == Path(config.save_dir):
        raise UserError(f"save_dir={config.save_dir}: samples_dir is the same; it takes another")
    if config.lambda_rec is None and config.lambda_adv > 1:
        raise UserError(
            f"lambda_adv={config.lambda_adv:g}: it takes 0 to 1 while lambda_rec is null, "
            "since lambda_rec is then 1 - lambda_adv; set lambda_rec to go beyond"
        )
    if config.weights == (0.0, 0.0):
        raise UserError("lambda_rec=0 lambda_adv=0: nothing is left to learn from")
    terms = {"lambda_adv": "adversarial", "lambda_seam": "seam", "lambda_r1": "penalty"}
    for key, term in terms.items():
        if getattr(config, key) > 0 and config.loss.get(term) is None:
            has_none = f"this loss has no {term} term; it takes 0"
            raise UserError(f"{key}={getattr(config, key):g}: {has_none}")
    if config.loss.get("penalty") is not None and config.loss.get("adversarial") is None:
        raise UserError("loss.penalty: there is no discriminator to penalise; it takes null")


def _is_pixel(value: Any) -> bool:
    return isinstance(value, int | float) and -1 <= value <= 1


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
