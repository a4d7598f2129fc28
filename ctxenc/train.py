"""``python -m ctxenc.train [GROUP=CHOICE] [KEY=VALUE] …``: train a context encoder."""

import argparse
import sys
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ctxenc import cli, launch
from ctxenc.config import search_path
from ctxenc.config.schema import PRIMARY
from ctxenc.errors import UserError
from ctxenc.report.help import help_text
from ctxenc.sweeps import run as sweep_run
from ctxenc.sweeps.job import job

# Hydra's options that show something and train nothing.
SHOWING = ("-c", "--cfg"), ("-i", "--info"), ("--resolve",), ("--hydra-help",)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help lists what there is")


def parser() -> argparse.ArgumentParser:
    """The command line; help comes from the schema."""
    made = cli.parser("train", _Parser, add_help=False, allow_abbrev=False)
    made.add_argument("overrides", nargs="*")
    made.add_argument("-h", "--help", action="store_true")
    made.add_argument("-m", "--multirun", action="store_true")
    made.add_argument("-cd", "--config-dir", metavar="DIR")
    made.add_argument("-cn", "--config-name", metavar="NAME", default=PRIMARY)
    for names in SHOWING:
        made.add_argument(*names, nargs="?", const=True, dest="showing")
    shells = "bash", "zsh", "fish"
    asked = [f"{do}={shell}" for do in ("install", "uninstall", "query") for shell in shells]
    made.add_argument("-sc", "--shell-completion", choices=asked, dest="showing")
    made.add_argument("-p", "--package")  # of --cfg
    return made


@cli.program("ctxenc.train")
def main() -> None:
    """Read the command line, train, and print the run folder's path last."""
    asked = parser().parse_intermixed_args()
    where = {"config_dir": asked.config_dir, "config_name": asked.config_name}
    search_path.add(asked.config_dir)
    if asked.help:
        print(help_text(asked.config_name))
    elif asked.showing:
        try:
            sys.argv[0] = "ctxenc-train"  # shells complete what is one word
            hydra_main()  # it reads the command line by itself
        except ValueError as error:
            raise UserError(str(error)) from None
    elif asked.package:
        raise UserError(f"--package {asked.package}: expected --cfg with it")
    elif asked.multirun or sweep_run.is_resume(asked.overrides):
        sweep, whole = sweep_run.run(asked.overrides, hydra_main, **where)
        print(sweep.path)
        sys.exit(0 if whole else 1)
    else:
        print(launch.run(*asked.overrides, **where).path)


@hydra.main(config_path=str(search_path.config_dir()), config_name=PRIMARY, version_base="1.3")
def hydra_main(composed: DictConfig) -> float | None:
    """One job of a sweep, in the folder that Hydra made for it; returns the monitored metric."""
    return job(composed, HydraConfig.get())


if __name__ == "__main__":
    main()
