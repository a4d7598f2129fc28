"""Whether a composed configuration can run: its keys' types, ranges, and how they go together."""

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.config import schema
from ctxenc.config.compose import compose
from ctxenc.config.instantiate import check_allowed, converted, unknown_options
from ctxenc.config.schema import Config, Key
from ctxenc.errors import UserError
from ctxenc.losses import Loss
from ctxenc.metrics.registry import LABEL_ACCURACY

log = logging.getLogger(__name__)


def check(composed: DictConfig) -> Config:
    """The composed configuration with every top-level key's type and range checked.

    Raises:
        UserError: naming the key, what it got and what was expected.
    """
    values = _resolved(composed)
    if unknown := [key for key in _unknown(values) if not isinstance(values[key], dict)]:
        raise UserError(f"{unknown[0]}: no such key; --help lists every key")
    known = schema.fields()
    if absent := [name for name in known if name not in values]:
        raise UserError(f"{absent[0]}: no value; expected its default, or one of yours")
    config = Config(**{name: _checked(name, values[name], f) for name, f in known.items()})
    _check_together(config)
    return config


def compatible(saved: DictConfig, where: Path) -> DictConfig:
    """A saved run's configuration as this version reads it.

    What the version that saved it did not have takes the value that stood for it then; what only
    that version had is named in the log and left out.

    Args:
        saved: the configuration, as it was saved.
        where: its run folder, for messages.

    Raises:
        UserError: it names code that may not run from a saved folder, or cannot be resolved.
    """
    values, config = _resolved(saved), saved.copy()
    terms: Any = values.get("loss")
    known = {field.name for field in dataclasses.fields(Loss)}
    for name in [n for n in terms if n not in known] if isinstance(terms, dict) else ():
        if terms.pop(name) is not None:
            _ignored(where, config, "loss", name)
        del config.loss[name]
    check_allowed(values, where)
    for name in _unknown(values):
        if not isinstance(values[name], dict):
            _ignored(where, config, name)
            del config[name]
    for path in unknown_options({name: values[name] for name in schema.groups() if name in values}):
        *above, option = path
        _ignored(where, config, *path)
        del OmegaConf.select(config, ".".join(above))[option]
    for name in schema.fields():
        if name not in values:
            config[name] = _before(name)
    return config


def _ignored(where: Path, config: DictConfig, *path: str) -> None:
    kind, name = "key" if len(path) == 1 else "option", ".".join(path)
    log.warning(
        "%s: %s=%s: this version of ctxenc has no such %s; it is ignored",
        *(where, name, OmegaConf.select(config, name), kind),
    )


def _before(name: str) -> Any:
    """What runs did before a key existed."""
    known = schema.before()
    if name not in schema.groups():
        return known[name]
    return compose([f"{name}={known[name]}"] if name in known else [])[name]


def _resolved(composed: DictConfig) -> dict[Any, Any]:
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'config'}: {str(error).splitlines()[0]}") from None
    return values


def _unknown(values: dict[Any, Any]) -> list[str]:
    return sorted(map(str, values.keys() - schema.fields().keys()))


def _checked(name: str, value: Any, field: dataclasses.Field) -> Any:
    """One key's value, converted to its type as OmegaConf converts, and within its range."""
    key: Key = field.metadata["key"]
    if field.metadata.get("group"):
        if not isinstance(value, dict):
            raise UserError(f"{name}={value}: expected a choice of the group")
        return value
    given = value
    if type(value) is int and float in schema.types(field):
        value = float(value)  # OmegaConf reads a whole number as text where both are allowed
    try:
        value = converted(value, field.type)["value"]
        value = tuple(value) if OmegaConf.is_list(value) else value
        if _is_allowed(value, key):
            return value
    except OmegaConfBaseException:
        pass
    shown = "null" if given is None else given
    raise UserError(f"{name}={shown}: expected {schema.expected(field)}: {key.meaning}")


def _is_allowed(value: Any, key: Key) -> bool:
    if value is None:  # the type has said whether it may be
        return True
    if isinstance(value, int | float) and not isinstance(value, bool):
        low = -math.inf if key.at_least is None else key.at_least
        high = math.inf if key.at_most is None else key.at_most
        if not (math.isfinite(value) and low <= value <= high):
            return False
    if isinstance(value, str) and not value.strip():
        return False
    if key.one_of and value not in key.one_of:
        return False
    return key.valid is None or key.valid(value)


def _check_together(config: Config) -> None:
    """Refuse keys that are fine alone and make no sense together."""
    if config.resume_step is not None and config.resume is None:
        raise UserError(f"resume_step={config.resume_step}: expected resume=RUN with it")
    if Path(config.samples_dir) == Path(config.save_dir):
        raise UserError(f"save_dir={config.save_dir}: must not be samples_dir")
    if config.lambda_rec is None and config.lambda_adv > 1:
        raise UserError(
            f"lambda_adv={config.lambda_adv:g}: must be 0 to 1 while lambda_rec is null, "
            "since lambda_rec is then 1 - lambda_adv; set lambda_rec to go beyond"
        )
    if not any(config.weights) and not config.lambda_label:
        raise UserError("lambda_rec=0 lambda_adv=0: nothing is left to learn from")
    if config.monitor == LABEL_ACCURACY and config.loss.get("label") is None:
        raise UserError(f"monitor={config.monitor}: expected a loss with a label term: loss=labels")
    for name, key in schema.keys(lambda key: key.term).items():
        weight = getattr(config, name)
        if weight > 0 and config.loss.get(key.term) is None:
            raise UserError(f"{name}={weight:g}: must be 0, as this loss has no {key.term} term")
    if config.loss.get("gradient_penalty") and not config.loss.get("adversarial"):
        raise UserError("loss.gradient_penalty: must be null, as there is no discriminator")
