"""``python -m ctxenc.compare DIR…``: what differs between runs, and what came of it."""

import os
import sys

from ctxenc.cli import program
from ctxenc.comparison import (
    command_line,
    comparison_table,
    importance,
    paired,
    records,
    sections,
)
from ctxenc.comparison.figures import metric_of
from ctxenc.comparison.formats import render
from ctxenc.comparison.pivot import pivot
from ctxenc.errors import printable
from ctxenc.metrics.registry import MAIN, METRICS


@program("ctxenc.compare")
def main() -> None:
    """Read the command line, compare, print the table or the page's path."""
    options = command_line.read()
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
        group_by=options.group_by,
    )
    pairs, left_out = paired.tables(compared, everything=options.all)
    for line in left_out:
        print(f"ctxenc.compare: left out: {printable(line)}", file=sys.stderr)
    named = metric_of(options.sort.removeprefix("-"))
    monitor = named if named in METRICS else MAIN
    if options.importance or options.html is not None:
        if not (keys := importance.tables(compared, monitor)) and options.importance:
            why = importance.why_none(compared, monitor)
            print(f"ctxenc.compare: --importance: {why}", file=sys.stderr)
        pairs += keys
    only = options.columns or ()
    for key in only:
        if key not in METRICS:  # as swd, which only the test split and its differences have
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


if __name__ == "__main__":
    main()
