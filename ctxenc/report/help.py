"""The text of ``python -m ctxenc.train --help``, from the schema and the YAML files."""

import argparse
import functools

from omegaconf import OmegaConf, open_dict

from ctxenc.cli import called
from ctxenc.config import schema
from ctxenc.config.compose import compose
from ctxenc.config.schema import PRIMARY
from ctxenc.config.search_path import choices

USAGE = """\
%(prog)s [GROUP=CHOICE] [KEY=VALUE] [+experiment=RECIPE] [--multirun]

Trains a context encoder: a generator that fills the hole of an image from its context, and a
discriminator that judges the fill. Prints the run folder's path as its last line.

  %(prog)s                                  the embedded photographs, a few minutes
  %(prog)s mask=random lambda_adv=1e-2      change what you like
  %(prog)s --multirun lambda_adv=0,1e-3     one run a value
  %(prog)s resume=experiments/…             go on with a run that was stopped
  %(prog)s init_from=RUN mask=random        begin with a trained run's weights
  %(prog)s --config-dir DIR mask=mine       DIR/mask/mine.yaml, a choice of your own
  %(prog)s --config-dir DIR --config-name mine      begin with DIR/mine.yaml"""

FOOTER = """\
The options of a choice are keys too: dataset.path=…, model.generator.widths=[64,128,256].
--help --config-dir DIR lists the choices in DIR as well. --cfg job shows the whole configuration
of a command; --hydra-help lists Hydra's own options. -sc install=bash prints what completes names
and choices in a shell, -sc install=fish for fish; --version says the version of ctxenc."""


def help_text(config_name: str = PRIMARY) -> str:
    """Every key with its meaning, range and default; every group with its choices.

    Args:
        config_name: the file whose defaults are shown.
    """
    layout = functools.partial(
        argparse.RawDescriptionHelpFormatter, max_help_position=34, width=100
    )
    parser = argparse.ArgumentParser(
        called("train"), usage=USAGE, epilog=FOOTER, add_help=False, formatter_class=layout
    )
    composed = compose(with_hydra=True, config_name=config_name)
    with open_dict(composed):
        chosen = composed.pop("hydra").runtime.choices
    section = parser.add_argument_group("groups (* is the default)")
    for group in (*schema.groups(), "experiment"):
        for choice, description in choices(group).items():
            sign, star = "+" * (group == "experiment"), " *" * (choice == chosen.get(group))
            _row(section, f"{sign}{group}={choice}{star}", description)
    defaults = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(defaults, dict)
    section = parser.add_argument_group("keys")
    for name, field in schema.fields().items():
        if name not in schema.groups():
            value, key = defaults[name], field.metadata["key"]
            shown = "null" if value is None else str(value)
            shown = f"[{','.join(value)}]" if isinstance(value, list) else shown
            null = f"; null: {key.null}" if key.null else ""
            meaning = f"{key.meaning} ({schema.expected(field).removesuffix(' or null')}{null})"
            _row(section, f"{name}={shown.lower() if isinstance(value, bool) else shown}", meaning)
    return parser.format_help().rstrip()


def _row(section: argparse._ArgumentGroup, left: str, right: str) -> None:
    section.add_argument("row", metavar=left, help=right.replace("%", "%%"))
