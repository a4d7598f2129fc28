"""The command line of ``python -m ctxenc.compare``."""

import argparse

from ctxenc import cli
from ctxenc.comparison import figures, records
from ctxenc.comparison.formats import FORMATS
from ctxenc.errors import UserError
from ctxenc.metrics.registry import MAIN


def read() -> argparse.Namespace:
    """What was asked for; a `UserError` where options do not go together."""
    parser = cli.parser(
        "compare",
        description="Compare runs: a table of the keys that differ, the status and validation "
        "metrics of every run at or below the folders, and the test metrics of those that were "
        "evaluated. Runs whose validation masks or images differ get tables of their own.",
    )
    add = parser.add_argument
    add("folders", nargs="+", metavar="DIR", help="run folders, sweeps, or folders of them")
    add(
        "--sort",
        default=MAIN,
        metavar="KEY",
        help=f"a metric of the last validation ({', '.join(figures.OF_VALIDATION)}; default: "
        f"%(default)s); as best.{MAIN}, of the best; as test.{MAIN}, of the test split; as "
        f"probe.linear, of a probe; {', '.join(records.OWN_KEYS)}, or a key of the "
        "configuration; --sort=-KEY reverses",
    )
    add("--top", type=int, metavar="N", help="only the first N of each table")
    add(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only such runs, also with !=, <, <=, > or >=; may be repeated",
    )
    named = "only these keys and metrics, named as for --sort"
    add("--columns", type=_keys, metavar="KEY,…", help=named)
    add("--all", action="store_true", help="every key and every metric")
    add(
        "--group-by",
        type=_keys,
        metavar="KEY,…",
        help="runs that differ in nothing but these keys are one setting, with mean ± standard "
        "deviation (default: seed, where runs differ in it alone; none: every run by itself)",
    )
    add(
        "--pivot",
        nargs=2,
        metavar=("ROWS", "COLUMNS"),
        help="one metric by two keys, e.g. --pivot mask lambda_adv, instead of the tables",
    )
    add("--metric", default=MAIN, help="that --pivot shows; as for --sort (default: %(default)s)")
    add("--importance", action="store_true", help="which keys matter for the metric of --sort")
    add("--baseline", metavar="RUN", help="what changes are against (default: the first run)")
    add("--format", choices=FORMATS, help="how the table is printed (default: table)")
    add("--html", metavar="FILE", help="write one self-contained page instead of the table")
    add(
        "--watch",
        action="store_true",
        help="follow runs and sweeps until they have ended, with the metric of --sort alone",
    )
    options = parser.parse_args()
    if options.watch:
        given = {name for name, value in vars(options).items() if value != parser.get_default(name)}
        if others := given - {"folders", "sort", "watch"}:
            got = min(others).replace("_", "-")
            raise UserError(f"--watch: expected folders and --sort alone, got --{got}")
        if options.sort not in figures.OF_VALIDATION:
            known = ", ".join(figures.OF_VALIDATION)
            raise UserError(f"--watch --sort {options.sort}: expected one of {known}")
    return options


def _keys(given: str) -> list[str]:
    return [] if given == "none" else given.split(",")
