"""One self-contained page of a comparison: tables, figures, samples and commands, no network.

Plotly draws the figures, DataTables (as itables brings it) searches, filters, sorts and exports the
tables. Jinja escapes whatever comes from a run folder, and the page's content security policy runs
our two scripts alone, by their hashes, and lets nothing be fetched.
"""

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

import ctxenc
from ctxenc.comparison import formats
from ctxenc.comparison.page import links, samples
from ctxenc.comparison.page.section import Drawing
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison
from ctxenc.comparison.tables import Cell, Column, Table
from ctxenc.errors import UserError, printable
from ctxenc.metrics.registry import METRICS
from ctxenc.report import LOOK
from ctxenc.run_folder.files import write_text

HERE = Path(__file__).parent  # of page.html, page.css and page.js
LONGEST = 300  # characters of a value in a list of what differs


def save(file: str | os.PathLike[str], comparison: Comparison, tables: Sequence[Table]) -> None:
    """Write the page, whole or not at all.

    Raises:
        UserError: `file` is a folder.
    """
    if Path(file).is_dir():
        raise UserError(f"--html={file}: expected the name of a file, and this is a folder")
    write_text(Path(file), html(comparison, tables, Path(file).absolute().parent))


def html(comparison: Comparison, tables: Sequence[Table], place: Path | None) -> str:
    """The page: its tables, and figures of the comparison's runs.

    `place` is the folder that it will be in; None where links to the runs' files lead nowhere.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    environment.filters |= {"breakable": _breakable, "uri": samples.uri}
    environment.globals |= {"columns": _columns, "groups": _groups, "whisker": _whisker}
    environment.globals |= {"attributes": _attributes, "small": samples.SMALL}
    own = [path.read_text(encoding="utf-8") for path in (LOOK, HERE / "page.css")]
    styles = [_packaged("dt_bundle.css"), *own]
    every = (*comparison.ranked, *comparison.unranked)
    shown = f"{len(every)} of " if len(every) < comparison.found else ""
    drawings = Drawing.of_all(comparison, {table.key: table for table in tables})
    scripts = _scripts()
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return environment.get_template("page.html").render(
        tables=tables,
        sections=drawings,
        data={key: drawing.figures for key, drawing in drawings.items()},
        differing=_differing(comparison),
        latex=formats.LATEX,
        runs=f"{shown}{comparison.found} runs",
        made=f"{datetime.now():%Y-%m-%d %H:%M} by ctxenc {ctxenc.__version__}",
        links=[links.of(run, place) for run in every],
        style=Markup("\n".join(styles)),
        scripts=[Markup(script) for script in scripts],
        hashes=Markup(" ").join(Markup(f"'sha256-{b64encode(d).decode()}'") for d in digests),
    )


def _scripts() -> tuple[str, str]:
    """Plotly, and our own, after DataTables, whose exports it can name: both are one module."""
    from plotly.offline import get_plotlyjs  # plotly: slow to import, and only pages need it

    own = (HERE / "page.js").read_text(encoding="utf-8")
    exports = re.compile(r"export\s*\{([^{}]*)\};?")
    bundle = _packaged("dt_bundle.js")
    (found,) = exports.findall(bundle)
    pairs = (pair.split(" as ") for pair in found.split(","))
    names = ",".join(f"{outside}:{inside}" for inside, outside in pairs)
    library = exports.sub(lambda _: f"const tables={{{names}}};", bundle)
    plotly, module = (
        script.replace("</script", r"<\/script") for script in (get_plotlyjs(), library + own)
    )
    return plotly, module


def _packaged(name: str) -> str:
    return resources.files("itables").joinpath("html", name).read_text(encoding="utf-8")


def _differing(comparison: Comparison) -> dict[str, Any]:
    """Of the first run of each row of each section, by key, what is not the same in all of them."""
    firsts = [group.runs[0] for section in comparison.sections for group in section.groups]
    keys = dict.fromkeys(key for run in firsts for key in run.settings.values)
    values = {key: [_value(run, key) for run in firsts] for key in keys}
    return {key: texts for key, texts in values.items() if len(set(texts)) > 1}


def _value(run: Record, key: str) -> str:
    return printable(run.settings.values.get(key, ""))[:LONGEST]


def _columns(table: Table) -> list[tuple[Column, list[Cell], float]]:
    """Each column with its cells, and how far its intervals reach from zero."""
    found = [(c, [row.get(c.key, Cell()) for row in table.rows]) for c in table.columns if c.title]
    return [
        (column, cells, max((abs(end) for c in cells for end in c.interval), default=0.0))
        for column, cells in found
    ]


def _groups(table: Table) -> list[tuple[str, int]]:
    """What is above the columns but the first, and above how many; nothing where none has any."""
    groups = [column.group for column in table.columns if column.title][1:]
    return [(name, len([*found])) for name, found in groupby(groups)] if any(groups) else []


def _attributes(cell: Cell, column: Column) -> Markup:
    """Of a cell's element: what it is sorted by, and what it looks like."""
    number, value = isinstance(cell.value, float), "" if cell.value is None else cell.value
    given = {"data-order": f"{value:.7g}" if number else printable(str(value))}
    names = ("number", column.number), ("winner", cell.best), ("long", len(cell.text) > 60)
    given |= {"class": found} if (found := " ".join(n for n, holds in names if holds)) else {}
    return Markup("").join(Markup(' {}="{}"').format(*pair) for pair in given.items())


def _whisker(metric: str, cell: Cell, reach: float) -> dict[str, Any]:
    """A difference and its interval in pixels from zero, where 76 are `reach`, and its colour."""
    ends = (*cell.interval, cell.value)
    low, high, value = (round(76 * float(end or 0) / reach, 1) for end in ends)
    better = METRICS[metric].better if metric in METRICS else "higher"
    gain = {"higher": value, "lower": -value}.get(better, 0) * (low * high > 0)
    colour = "c0" if gain > 0 else "c1" if gain < 0 else "quiet"
    return {"low": low, "value": value, "high": high, "colour": colour}


def _breakable(name: str) -> Markup:
    """A run's name as HTML that may break after its commas and slashes."""
    return escape(printable(name)).replace(",", Markup(",<wbr>")).replace("/", Markup("/<wbr>"))
