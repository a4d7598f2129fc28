"""``python -m ctxenc.evaluate RUN [OVERRIDE] …``: a run's test figures beside baselines."""

import argparse

from ctxenc.baselines import BASELINES
from ctxenc.cli import one_line_errors
from ctxenc.config import schema, search_path
from ctxenc.evaluation.evaluate import evaluate
from ctxenc.report.progress import Counting
from ctxenc.report.scores import show

DESCRIPTION = """\
Measures a trained run on its whole test split with frozen masks, beside classical fills of the
same holes, and says whether it beats the best of them. Prints a table, the verdict, and last the
folder with the figures: metrics.json, per_image.csv and grid.png.

  python -m ctxenc.evaluate RUN                          as the run was trained
  python -m ctxenc.evaluate RUN mask=random              holes elsewhere
  python -m ctxenc.evaluate RUN dataset=folder dataset.path=DIR     other images"""


def parser() -> argparse.ArgumentParser:
    """The command line; most of its options are arguments of `evaluate`, by name."""
    made = argparse.ArgumentParser(
        "python -m ctxenc.evaluate",
        description=DESCRIPTION,
        epilog="What each figure can and cannot tell: docs/metrics.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("path", metavar="RUN", help="a run folder")
    keys = ", ".join(schema.keys(lambda key: key.on_evaluate))
    made.add_argument(
        "overrides", metavar="OVERRIDE", nargs="*", help=f"KEY=VALUE of {keys}, or their options"
    )
    made.add_argument("-cd", "--config-dir", metavar="DIR", help="of masks and datasets of yours")
    made.add_argument("--checkpoint", default="best", metavar="best|latest|STEP")
    made.add_argument("--raw", action="store_true", help="weights without their average")
    made.add_argument("--name", help="of the evaluation's folder (default: dataset-mask)")
    made.add_argument("--batch-size", type=int, metavar="N", help="(default: the run's)")
    made.add_argument(
        "--baselines",
        default="all",
        metavar="all|none|A,B",
        help=f"any of {', '.join(BASELINES)}, or package.module.name of your own",
        dest="against",
    )
    slow = {baseline.title: baseline.first for baseline in BASELINES.values() if baseline.first}
    made.add_argument(
        "--slow-images",
        type=int,
        metavar="N",
        help=f"measure what is slow ({', '.join(slow)}) on the first N images only (default: all "
        f"where the hole is in one place, else {', '.join(map(str, slow.values()))})",
    )
    made.add_argument("--inception", metavar="FILE", help="TorchScript network for FID and KID")
    made.add_argument("--lpips", metavar="FILE", help="TorchScript network for LPIPS")
    return made


def main() -> None:
    """Read the command line, evaluate, print the table and the folder."""
    asked = vars(parser().parse_intermixed_args())
    config_dir, batch_size = asked.pop("config_dir"), asked.pop("batch_size")
    if batch_size is not None:
        asked["overrides"].append(f"batch_size={batch_size}")
    with one_line_errors("ctxenc.evaluate"):
        search_path.add(config_dir)
        with Counting() as counting:
            done = evaluate(**asked, progress=counting)
        show(done.metrics)
        print(done.path)


if __name__ == "__main__":
    main()
