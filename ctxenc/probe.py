"""``python -m ctxenc.probe RUN [OVERRIDE] …``: what a run's encoder has learned of classes."""

import argparse

from ctxenc import cli
from ctxenc.evaluation.several import of_runs
from ctxenc.probing import features
from ctxenc.probing.labelled import KEYS
from ctxenc.probing.probe import probe
from ctxenc.probing.several import probe_all
from ctxenc.report.probes import show

DESCRIPTION = """\
Judges the features of a run's encoder on labelled images: by a linear probe (ridge regression) and
nearest neighbours, at the stage that is best on validation images, beside the pixels and the same
network from random weights. Prints a table, and last the folder with the figures: metrics.json,
per_image.csv, confusion.png and neighbours.png.

  %(prog)s RUN                             on the images that it was trained on
  %(prog)s RUN dataset=folder dataset.path=DIR      one subfolder a class
  %(prog)s RUN --finetune --labels 0.1     and all weights, with 10 %% of the labels
  %(prog)s SWEEP                           each of its runs not yet probed"""


def parser() -> argparse.ArgumentParser:
    """The command line; most of its options are arguments of `probe`, by name."""
    made = cli.parser(
        "probe",
        description=DESCRIPTION,
        epilog="How it is measured: docs/features.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    given = f"run folders, sweeps, folders of runs; KEY=VALUE of {', '.join(KEYS)}, or its options"
    add("given", metavar="RUN|OVERRIDE", nargs="*", help=given)
    add("--force", action="store_true", help="of several runs, also those probed")
    add("-cd", "--config-dir", metavar="DIR", help="of datasets of yours")
    add("--stages", default="all", metavar="all|A,B", help="of the encoder, by their names")
    cells = "maps are averaged over N × N cells (default: %(default)s)"
    add("--pool", type=int, default=features.POOL, metavar="N", help=cells)
    add("--finetune", action="store_true", help="train all weights with a label head, too")
    shares = "shares that --finetune is given (default: %(default)s)"
    add("--labels", default="1,0.1,0.01", metavar="SHARE,…", help=shares)
    add("--beside", nargs="+", default=[], metavar="RUN", help="other runs' encoders, as rows")
    add("--checkpoint", default="best", metavar="best|latest|STEP")
    add("--raw", action="store_true", help="weights without their average")
    add("--name", help="of the probe's folder (default: the dataset)")
    return made


@cli.program("ctxenc.probe")
def main() -> None:
    """Read the command line, probe, print the table and the folder."""
    asked = vars(parser().parse_intermixed_args())
    labels = asked.pop("labels")
    asked["finetune"] = labels.split(",") if asked["finetune"] else []
    of_runs("probe", asked, probe, probe_all, show)


if __name__ == "__main__":
    main()
