"""One self-contained page of a comparison: tables, curves, samples and commands, no network.

Whatever comes from a run folder is escaped, and the page's content security policy runs our two
scripts alone, by their hashes, and lets nothing be fetched.
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.settings import IDLE, differing
from ctxenc.errors import UserError, printable
from ctxenc.report import page_curves, page_parts, page_samples, page_table
from ctxenc.report.tables import Table
from ctxenc.runs.atomic_write import write_text

TITLE = "Comparison of runs"
STYLES = ("page.css", "page_table.css", "page_parts.css")
FIRST_SHOWN = 8  # curves that are on from the start
NAMES = {"context_mean": "context mean", "mean_colour": "mean colour"}


def save(file: str | os.PathLike[str], comparison: Comparison, tables: Sequence[Table]) -> None:
    """Write the page, whole or not at all.

    Raises:
        UserError: `file` is a folder.
    """
    if Path(file).is_dir():
        raise UserError(f"--html={file}: it takes the name of a file, and this is a folder")
    write_text(Path(file), html(comparison, tables))


def html(comparison: Comparison, tables: Sequence[Table]) -> str:
    """The page.

    Args:
        comparison: whose runs are drawn.
        tables: as `ctxenc.report.comparison_table.tables` gives them.
    """
    from plotly.offline import get_plotlyjs  # plotly: slow to import, and only pages need it

    runs = comparison.ranked
    pictures = _pictures(runs)
    most = page_curves.points(len(runs))
    data, main = [], []
    for table in tables:
        parts = [page_table.table(table)]
        if table.key.startswith("section-"):
            number = int(table.key.removeprefix("section-"))
            section = comparison.sections[number]
            names = _names(section)
            data.append(_curves(section, names, most))
            parts.append(page_parts.curves(number, names, FIRST_SHOWN, page_curves.TITLES))
            parts.append(page_parts.samples(section, names, pictures))
        main.append(_section(table, "".join(parts)))
    everyone = (*runs, *comparison.unranked)
    main.append(page_parts.commands(everyone))
    plotly = get_plotlyjs().replace("</script", r"<\/script")
    script = _own("page.js")
    return Template(_own("page.html")).substitute(
        title=TITLE,
        subtitle=escape(_subtitle(comparison)),
        contents=page_parts.contents(tables),
        style="".join(map(_own, STYLES)),
        main="\n".join(main),
        data=json.dumps({"sections": data}, allow_nan=False).replace("<", r"\u003c"),
        plotly=plotly,
        script=script,
        script_hashes=" ".join(map(_hash, (plotly, script))),
    )


def _section(table: Table, inside: str) -> str:
    notes = "".join(f'<p class="quiet">{_text(note)}</p>' for note in table.notes)
    heading = f"<h2>{_text(table.title)}</h2>"
    return f'<section id="{escape(table.key)}">{heading}{notes}{inside}</section>'


def _text(text: str) -> str:
    return escape(printable(text))


def _own(name: str) -> str:
    return (resources.files("ctxenc.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _subtitle(comparison: Comparison) -> str:
    shown = len(comparison.ranked) + len(comparison.unranked)
    words = [f"{shown} of {comparison.found} runs"] if shown < comparison.found else []
    words = words or [f"{shown} runs"]
    words.append(f"made {datetime.now():%Y-%m-%d %H:%M} by ctxenc {metadata.version('ctxenc')}")
    return " · ".join(words)


def _names(section: Section) -> list[str]:
    """What each run is called beside a curve: the settings that tell it apart, else its label."""
    keys = [k for k in differing([run.settings for run in section.runs]) if k not in IDLE]
    names = [
        "  ".join(f"{key}={value}" for key in keys if (value := run.settings.values.get(key)))
        for run in section.runs
    ]
    apart = len(set(names)) == len(names) and len(keys) <= 4
    return names if apart and all(names) else [run.label for run in section.runs]


def _curves(section: Section, names: Sequence[str], most: int) -> dict[str, Any]:
    runs = [
        {"name": escape(printable(name)), **page_curves.series(run, most)}
        for name, run in zip(names, section.runs, strict=True)
    ]
    baselines = [
        {"name": escape(NAMES.get(name, name)), "values": dict(values)}
        for name, values in section.runs[0].baselines.items()
    ]
    return {"runs": runs, "baselines": baselines}


def _pictures(runs: Sequence[Record]) -> dict[Record, page_samples.Strips]:
    """The strips of the runs, best first, until the page would be too large."""
    found, size = {}, 0
    for run in runs:
        if size < page_samples.BUDGET and (strips := page_samples.strips(run)) is not None:
            found[run] = strips
            size += strips.filled.nbytes
    return found
