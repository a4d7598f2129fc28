"""``python -m ctxenc.evaluate RUN [OVERRIDE] …``: a run's test figures beside baselines."""

import argparse

from ctxenc import cli
from ctxenc.baselines import BASELINES
from ctxenc.config import schema
from ctxenc.evaluation.evaluate import evaluate
from ctxenc.evaluation.several import evaluate_all, of_runs
from ctxenc.report.scores import show

DESCRIPTION = """\
Measures a trained run on its whole test split with frozen masks, beside classical fills of the
same holes, and says whether it beats the best of them. Prints a table, the verdict, and last the
folder with the figures: metrics.json, per_image.csv and grid.png.

  %(prog)s RUN                          as the run was trained
  %(prog)s RUN mask=random              holes elsewhere
  %(prog)s RUN dataset=folder dataset.path=DIR     other images
  %(prog)s SWEEP                        each of its runs not yet evaluated"""


def parser() -> argparse.ArgumentParser:
    """The command line; most of its options are arguments of `evaluate`, by name."""
    made = cli.parser(
        "evaluate",
        description=DESCRIPTION,
        epilog="What each figure can and cannot tell: docs/metrics.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    keys = ", ".join(schema.keys(lambda key: key.on_evaluate))
    given = f"run folders, sweeps, folders of runs; KEY=VALUE of {keys}, or their options"
    add("given", metavar="RUN|OVERRIDE", nargs="*", help=given)
    add("--force", action="store_true", help="of several runs, also those evaluated")
    add("-cd", "--config-dir", metavar="DIR", help="of masks and datasets of yours")
    add("--checkpoint", default="best", metavar="best|latest|STEP")
    add("--raw", action="store_true", help="weights without their average")
    add("--name", help="of the evaluation's folder (default: dataset-mask)")
    add("--batch-size", type=int, metavar="N", help="(default: the run's)")
    names = f"any of {', '.join(BASELINES)}, or package.module.name of your own"
    add("--baselines", default="all", metavar="all|none|A,B", dest="against", help=names)
    slow = {baseline.title: baseline.first for baseline in BASELINES.values() if baseline.first}
    add(
        "--slow-images",
        type=int,
        metavar="N",
        help=f"measure what is slow ({', '.join(slow)}) on the first N images only (default: all "
        f"where the hole is in one place, else {', '.join(map(str, slow.values()))})",
    )
    add("--inception", metavar="FILE", help="TorchScript network for FID and KID")
    add("--lpips", metavar="FILE", help="TorchScript network for LPIPS")
    return made


@cli.program("ctxenc.evaluate")
def main() -> None:
    """Read the command line, evaluate, print the table and the folder."""
    asked = vars(parser().parse_intermixed_args())
    if (batch_size := asked.pop("batch_size")) is not None:
        asked["given"].append(f"batch_size={batch_size}")
    of_runs("evaluate", asked, evaluate, evaluate_all, show)


if __name__ == "__main__":
    main()
