"""``python -m ctxenc.train [GROUP=CHOICE] [KEY=VALUE] …``: train a context encoder."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ctxenc import launch
from ctxenc.cli import one_line_errors
from ctxenc.config.search_path import config_dir
from ctxenc.errors import UserError
from ctxenc.report.help import help_text
from ctxenc.sweeps import run
from ctxenc.sweeps.job import job

MULTIRUN = {"-m", "--multirun"}
HYDRAS = {
    "-c",
    "--cfg",
    "-i",
    "--info",
    "-p",
    "--package",
    "--resolve",
    "--hydra-help",
    "--version",
}


def main() -> None:
    """Read the command line, train, and print the run folder's path last."""
    arguments = sys.argv[1:]
    flags = {a.split("=")[0] for a in arguments if a.startswith("-")}
    overrides = [a for a in arguments if not a.startswith("-")]
    with one_line_errors("ctxenc.train"):
        if flags & {"-h", "--help"}:
            print(help_text())
        elif unknown := flags - MULTIRUN - HYDRAS:
            raise UserError(f"{min(unknown)}: no such option; --help lists what there is")
        elif flags & HYDRAS:
            hydra_main()  # shows something and trains nothing
        elif flags or run.is_resume(overrides):
            sweep, whole = run.run(overrides, hydra_main)
            print(sweep.path)
            sys.exit(0 if whole else 1)
        else:
            print(launch.run(*overrides).path)


@hydra.main(config_path=str(config_dir()), config_name="train", version_base="1.3")
def hydra_main(composed: DictConfig) -> float | None:
    """One job of a sweep, in the folder that Hydra made for it; returns the objective."""
    return job(composed, HydraConfig.get())


if __name__ == "__main__":
    main()
