"""What a notebook shows of a run: its state, settings, validation figures and last sample grid."""

from collections.abc import Mapping

from markupsafe import Markup, escape

from ctxenc.baselines import title
from ctxenc.comparison import figures, records
from ctxenc.comparison.page import samples
from ctxenc.config import schema
from ctxenc.errors import UserError, printable
from ctxenc.metrics.registry import METRICS
from ctxenc.run_folder.folder import Run

LONGEST = 300  # characters of a text
WIDEST = 1024  # pixels of the picture


def html(run: Run) -> str:
    """A piece of HTML, whatever is in the folder: names and texts in it are escaped."""
    try:
        record = records.read(run.path, run.title)
        parts = [_head(record), _settings(record), _figures(record), _picture(record)]
    except (UserError, OSError, ValueError):  # no folder, or none that may be looked into
        parts = [Markup("<code>{}</code>").format(_text(repr(run)))]
    return str(Markup("<div>{}</div>").format(Markup("").join(parts)))


def _head(record: records.Record) -> Markup:
    at = f" at step {record.step:,}" if record.step is not None else ""
    head = Markup("<p><b>{}</b>: {}{}{}</p>")
    problem = f" ({_text(record.problem)})" if record.problem else ""
    return head.format(_text(record.label), _text(record.state), at, problem)


def _settings(record: records.Record) -> Markup:
    """The choice of each group, the random seed, and what was asked for beside."""
    overridden = [text.split("=")[0].lstrip("+~") for text in record.overrides or ()]
    known = record.settings.values
    keys = [k for k in dict.fromkeys([*schema.groups(), "seed", *overridden]) if k in known]
    pairs = [Markup("<code>{}={}</code>").format(_text(k), _text(known[k])) for k in keys]
    return Markup("<p>{}</p>").format(Markup(" ").join(pairs))


def _figures(record: records.Record) -> Markup:
    """A table: the metrics of the last and the best step, and of the fills beside them."""
    at = f"best: step {record.best_step:,}" if record.best_step is not None else "best"
    rows: dict[str, Mapping[str, float]] = {"last": record.last, at: record.best}
    rows |= {title(name): of for name, of in record.baselines.items()}
    names = [n for n in METRICS if not METRICS[n].minor and n in record.last]
    if not names:
        return Markup("")
    of = record.tested_on.split if record.tested_on else ""
    table = [Markup("").join(map(Markup("<th>{}</th>").format, [of, *map(figures.heading, names)]))]
    for name, of_row in rows.items():
        shown = [METRICS[n].shown(of_row[n]) if n in of_row else "" for n in names]
        if any(shown):
            cells = map(Markup("<td>{}</td>").format, shown)
            table.append(Markup("<th>{}</th>{}").format(_text(name), Markup("").join(cells)))
    lines = Markup("").join(map(Markup("<tr>{}</tr>").format, table))
    return Markup("<table>{}</table>").format(lines)


def _picture(record: records.Record) -> Markup:
    for step, picture in samples.pictures(record):
        picture.thumbnail((WIDEST, WIDEST))
        img = Markup('<img alt="samples of step {}" style="max-width:100%" src="{}">')
        return img.format(step, samples.encoded(picture, lossless=False))
    return Markup("")


def _text(value: str) -> Markup:
    text = printable(value)
    return escape(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")
