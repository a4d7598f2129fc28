"""``python -m ctxenc.export RUN -o FOLDER``: the generator alone, to use without ctxenc."""

import argparse
from pathlib import Path

from ctxenc.cli import one_line_errors
from ctxenc.exporting.stablehlo import CONTRACT, check_free, export_generator
from ctxenc.trained import TrainedModel

EPILOG = """FOLDER gets the program (StableHLO), its weights, a contract of what it takes and
returns, and load.py, an example that needs only jax, flatbuffers and numpy."""


def main() -> None:
    """Read the command line, export, print the input contract and the sizes."""
    parser = argparse.ArgumentParser(
        prog="python -m ctxenc.export",
        description="Write a trained generator in a form that loads without ctxenc.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder of the model")
    add("-o", "--output", metavar="FOLDER", required=True, type=Path, help="new or empty folder")
    add("--checkpoint", default="best", metavar="WHICH", help="best (default), latest or a step")
    given = parser.parse_args()
    with one_line_errors("ctxenc.export"):
        check_free(given.output)
        contract = export_generator(TrainedModel.load(given.run, given.checkpoint), given.output)
    for name in ("images", "mask"):
        argument = contract["arguments"][name]
        print(f"{name:8}{argument['dtype']} {_shape(argument)}: {argument['is']}")
    returned = contract["returns"]
    print(f"returns {returned['dtype']} {_shape(returned)}: {returned['is']}")
    for name, file in contract["files"].items():
        print(f"{given.output / name}: {file['bytes'] / 1e6:.2f} MB")
    print(given.output / CONTRACT)


def _shape(argument: dict) -> str:
    return "(" + ", ".join(map(str, argument["shape"])) + ")"


if __name__ == "__main__":
    main()
