"""``python -m ctxenc.export RUN -o FOLDER``: the generator alone, to use without ctxenc."""

from pathlib import Path

from ctxenc import cli
from ctxenc.exporting import CONTRACT, check_free, export_encoder, export_generator
from ctxenc.trained import TrainedModel

EPILOG = """FOLDER gets the program (StableHLO), its weights, a contract of the arrays that it
expects and returns, and load.py, an example that needs only jax, flatbuffers and numpy."""


@cli.program("ctxenc.export")
def main() -> None:
    """Read the command line, export, print the arrays of the contract and the sizes."""
    parser = cli.parser(
        "export",
        description="Write a trained generator in a form that loads without ctxenc.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="run folder of the model")
    add("-o", "--output", metavar="FOLDER", required=True, type=Path, help="new or empty folder")
    add("--checkpoint", default="best", metavar="WHICH", help="best (default), latest or a step")
    add("--encoder", action="store_true", help="the encoder alone: images to its stages' maps")
    given = parser.parse_args()
    check_free(given.output)
    export = export_encoder if given.encoder else export_generator
    contract = export(TrainedModel.load(given.run, given.checkpoint), given.output)
    arrays = {n: array for n, array in contract["arguments"].items() if n != "weights"}
    returns = contract["returns"]
    for name, array in {**arrays, **(returns if given.encoder else {"returns": returns})}.items():
        shape = ", ".join(map(str, array["shape"]))
        print(f"{name:8}{array['dtype']} ({shape}): {array['is']}")
    for name, file in contract["files"].items():
        print(f"{given.output / name}: {file['bytes'] / 1e6:.2f} MB")
    print(given.output / CONTRACT)


if __name__ == "__main__":
    main()
