"""The text of ``python -m ctxenc.train --help``, from the schema and the files of ``conf/``."""

import textwrap

from omegaconf import OmegaConf

from ctxenc.config import schema
from ctxenc.config.compose import compose
from ctxenc.config.search_path import choices

WIDTH = 96

USAGE = """\
usage: python -m ctxenc.train [GROUP=CHOICE] [KEY=VALUE] [+experiment=RECIPE] [--multirun]

Trains a context encoder: a generator that fills the hole of an image from its context, and a
discriminator that judges the fill. Prints the run folder's path as its last line.

  python -m ctxenc.train                                  the embedded photographs, a few minutes
  python -m ctxenc.train mask=random lambda_adv=1e-2      change what you like
  python -m ctxenc.train --multirun lambda_adv=0,1e-3     one run a value
  python -m ctxenc.train resume=experiments/…             go on with a run that was stopped
"""

FOOTER = """\
The options of a choice are keys too: dataset.path=…, model.generator.widths=[64,128,256].
--cfg job shows the whole configuration of a command; --hydra-help lists Hydra's own options."""


def help_text() -> str:
    """Every knob with its meaning, range and default; every group with its choices."""
    chosen = compose(with_hydra=True).hydra.runtime.choices
    defaults = OmegaConf.to_container(compose(), resolve=True)
    assert isinstance(defaults, dict)
    lines = [USAGE, "groups (* is the default):"]
    for group in (*schema.groups(), "experiment"):
        for choice, description in choices(group).items():
            sign = "+" if group == "experiment" else ""
            star = " *" if choice == chosen.get(group) else ""
            lines += _row(f"{sign}{group}={choice}{star}", description)
    lines += ["", "keys:"]
    for name, field in schema.fields().items():
        if name in schema.groups():
            continue
        value, key = defaults[name], field.metadata["key"]
        shown = "null" if value is None else str(value).lower() if value in (True, False) else value
        null = f"; null: {key.null}" if key.null else ""
        lines += _row(f"{name}={shown}", f"{key.meaning} ({schema.expected(field)}{null})")
    return "\n".join([*lines, "", FOOTER])


def _row(left: str, right: str) -> list[str]:
    indent = " " * 34
    wrapped = textwrap.wrap(
        right, WIDTH, initial_indent=f"  {left}".ljust(34), subsequent_indent=indent
    )
    if len(left) > 30:
        return [
            f"  {left}",
            *textwrap.wrap(right, WIDTH, initial_indent=indent, subsequent_indent=indent),
        ]
    return wrapped
