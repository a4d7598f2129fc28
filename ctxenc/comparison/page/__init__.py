"""One self-contained page of a comparison: tables, curves, samples and commands, no network.

Jinja escapes whatever comes from a run folder, and the page's content security policy runs our two
scripts alone, by their hashes, and lets nothing be fetched.
"""

import hashlib
import os
import shlex
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from ctxenc.comparison import figures
from ctxenc.comparison.page import curves, samples
from ctxenc.comparison.page.samples import Strips
from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import Cell, Column, Table
from ctxenc.config import schema
from ctxenc.errors import UserError, printable
from ctxenc.metrics.registry import MAIN, METRICS
from ctxenc.run_folder.files import write_text

HERE = Path(__file__).parent  # of page.html, page.css and page.js


def save(file: str | os.PathLike[str], comparison: Comparison, tables: Sequence[Table]) -> None:
    """Write the page, whole or not at all.

    Raises:
        UserError: `file` is a folder.
    """
    if Path(file).is_dir():
        raise UserError(f"--html={file}: expected the name of a file, and this is a folder")
    write_text(Path(file), html(comparison, tables))


def html(comparison: Comparison, tables: Sequence[Table]) -> str:
    """The page with these tables and with the curves and samples of the comparison's runs."""
    from plotly.offline import get_plotlyjs  # plotly: slow to import, and only pages need it

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    environment.filters |= {"breakable": _breakable, "uri": lambda row: Markup(samples.uri(row))}
    environment.globals |= {"columns": _columns, "groups": _groups, "whisker": _whisker}
    style, own = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    scripts = (get_plotlyjs().replace("</script", r"<\/script"), own)
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    pictures = samples.strips_of(comparison.ranked)
    most = curves.points(len(comparison.ranked))
    every = (*comparison.ranked, *comparison.unranked)
    shown = f"{len(every)} of " if len(every) < comparison.found else ""
    every_name = dict.fromkeys(name for s in comparison.sections for name in s.names.values())
    places = {name: place for place, name in enumerate(every_name)}  # the same colour in every one
    drawn = (_drawn(section, pictures, most, places) for section in comparison.sections)
    sections = {f"section-{number}": found for number, found in enumerate(drawn)}
    return environment.get_template("page.html").render(
        tables=tables,
        sections=sections,
        data={key: section["data"] for key, section in sections.items()},
        runs=f"{shown}{comparison.found} runs",
        made=f"{datetime.now():%Y-%m-%d %H:%M} by ctxenc {metadata.version('ctxenc')}",
        commands=[(run.label, command(run)) for run in every],
        style=Markup(style),
        scripts=map(Markup, scripts),
        hashes=Markup(" ").join(Markup(f"'sha256-{b64encode(d).decode()}'") for d in digests),
    )


def command(run: Record) -> str | None:
    """The command line that trains such a run; None where its overrides were not saved."""
    if run.overrides is None:
        return None
    overrides = list(run.overrides)
    for name in schema.keys(lambda key: key.on_resume == "extends" or key.folder):
        value = run.settings.values.get(name)
        given = [o for o in overrides if o.startswith(f"{name}=")]
        if given and value is not None and given[-1] != f"{name}={value}":
            overrides = [o for o in overrides if o not in given] + [f"{name}={value}"]
    return shlex.join(["python", "-m", "ctxenc.train", *overrides])


def _drawn(
    section: Section, pictures: dict[Record, Strips], most: int, places: dict[str, int]
) -> dict[str, Any]:
    """What there is of a section beside its table: names of settings, curves, blocks of samples.

    The settings of a block, (place in the section, strips, caption), have the same images: those
    of the first run that has a picture.
    """
    names = list(section.names.values())
    runs = [list(group.draws.values()) or list(group.runs) for group in section.groups]
    series = [[curves.series(run, most) for run in group] for group in runs]
    blocks: dict[str, list[tuple[int, Strips, str]]] = {}
    for number, group in enumerate(runs):
        if run := next((run for run in group if run in pictures), None):
            strips = pictures[run]
            blocks.setdefault(strips.same, []).append((number, strips, _caption(section, run)))
    data = {  # Plotly takes names for HTML
        "runs": [
            {"name": escape(printable(name)), "place": places[name], **curves.of_group(group)}
            for name, group in zip(names, series, strict=True)
        ],
        "baselines": [
            {"name": escape(printable(name.replace("_", " "))), "values": dict(values)}
            for name, values in section.runs[0].baselines.items()
        ],
    }
    return {
        "title": section.title,
        "names": names,
        "places": [places[name] for name in names],
        "split": section.split,
        "over": ", ".join(section.by),
        "titles": curves.titles([run for group in series for run in group], section.split),
        "data": data,
        "blocks": list(blocks.values()),
        "without": len(section.groups) - sum(map(len, blocks.values())),
    }


def _caption(section: Section, run: Record) -> str:
    """Of a run's strips: which run of its setting, how good, and when."""
    words = [f"{key}={run.shown(key, run.settings.values.get(key, ''))}" for key in section.by]
    if MAIN in run.last:
        figure, metric = figures.shown(MAIN, run.last[MAIN]), METRICS[MAIN]
        words.append(f"{section.split} {metric.title} {figure} {metric.unit}")
    return " · ".join(words)


def _columns(table: Table) -> list[tuple[Column, list[Cell], float]]:
    """Each column with its cells, and how far its intervals reach from zero."""
    return [
        (column, cells, max((abs(end) for c in cells for end in c.interval), default=0.0))
        for column, cells in table.visible()
    ]


def _groups(table: Table) -> list[tuple[str, int]]:
    """What is above the columns but the first, and above how many; nothing where none has any."""
    groups = [column.group for column, _ in table.visible()][1:]
    return [(name, len([*found])) for name, found in groupby(groups)] if any(groups) else []


def _whisker(metric: str, cell: Cell, reach: float) -> dict[str, Any]:
    """A difference and its interval in pixels from zero, where 76 are `reach`, and its colour."""
    ends = (*cell.interval, cell.value)
    low, high, value = (round(76 * float(end or 0) / reach, 1) for end in ends)
    better = {"higher": value, "lower": -value}.get(METRICS[metric].better, 0) * (low * high > 0)
    colour = "c0" if better > 0 else "c1" if better < 0 else "quiet"
    return {"low": low, "value": value, "high": high, "colour": colour}


def _breakable(name: str) -> Markup:
    """A run's name as HTML that may break after its commas and slashes."""
    return escape(printable(name)).replace(",", Markup(",<wbr>")).replace("/", Markup("/<wbr>"))
