"""``python -m ctxenc.compare DIR…``: what differs between runs, and what came of it."""

import argparse
import os
import sys

from ctxenc.cli import program
from ctxenc.comparison import comparison_table, importance, paired, records, sections
from ctxenc.comparison.figures import metric_of
from ctxenc.comparison.formats import FORMATS, render
from ctxenc.comparison.pivot import pivot
from ctxenc.errors import UserError, printable
from ctxenc.metrics.registry import MAIN, METRICS


@program("ctxenc.compare")
def main() -> None:
    """Read the command line, compare, print the table or the page's path."""
    options = _options()
    if options.watch:
        from ctxenc.comparison import watch  # sweeps, and with them Hydra

        watch.watch(options.folders, options.sort)
        return
    runs = records.load(options.folders, workers=os.cpu_count() or 1)
    compared = sections.compare(
        runs,
        sort=options.sort,
        top=options.top,
        filters=options.filter,
        baseline=options.baseline,
        group_by=_keys(options.group_by),
    )
    pairs, left_out = paired.tables(compared, everything=options.all)
    for line in left_out:
        print(f"ctxenc.compare: left out: {printable(line)}", file=sys.stderr)
    named = metric_of(options.sort.removeprefix("-"))
    monitor = named if named in METRICS else MAIN
    if options.importance or options.html is not None:
        if not (keys := importance.tables(compared, monitor)) and options.importance:
            print("ctxenc.compare: --importance: fewer than two keys differ", file=sys.stderr)
        pairs += keys
    only = _keys(options.columns) or ()
    for key in only:
        sections.check_key(key, runs, "--columns")
    tables = comparison_table.tables(
        compared, pairs, everything=options.all, only=only, monitor=monitor
    )
    if options.pivot:
        own = pivot(compared, tuple(options.pivot), options.metric)
        tables = [own] if options.html is None else [own, *tables]
    if options.html is not None:
        from ctxenc.comparison import page  # Jinja, Pillow and plotly, half a second

        page.save(options.html, compared, tables)
        print(options.html, file=sys.stdout if options.format is None else sys.stderr)
    if options.html is None or options.format is not None:
        print(render(tables, options.format or "table"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ctxenc.compare",
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
        help=f"a metric of the last validation ({', '.join(METRICS)}; default: %(default)s); as "
        f"best.{MAIN}, of the best; as test.{MAIN}, of the test split; "
        f"{', '.join(records.OWN_KEYS)}, or a key of the configuration; --sort=-KEY reverses",
    )
    add("--top", type=int, metavar="N", help="only the first N of each table")
    add(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only such runs, also with !=, <, <=, > or >=; may be repeated",
    )
    add("--columns", metavar="KEY,…", help="only these keys and metrics, named as for --sort")
    add("--all", action="store_true", help="every key and every metric")
    add(
        "--group-by",
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
        if options.sort not in METRICS:
            raise UserError(f"--watch --sort {options.sort}: expected one of {', '.join(METRICS)}")
    return options


def _keys(given: str | None) -> list[str] | None:
    return None if given is None else [] if given == "none" else given.split(",")


if __name__ == "__main__":
    main()
