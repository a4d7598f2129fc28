"""The parts of a comparison's page below its tables: curves, samples, commands."""

import shlex
from collections.abc import Mapping, Sequence
from html import escape

from ctxenc.comparison.records import Record
from ctxenc.comparison.sections import Section
from ctxenc.report.page_samples import Picture, Strips, uri
from ctxenc.report.page_table import breakable, key, text
from ctxenc.report.tables import Table

RESUMED = ("n_epoch", "max_steps")  # what a resumed run may have changed since its overrides


def contents(tables: Sequence[Table]) -> str:
    """Links to the sections, where there are several."""
    links = [f'<a href="#{escape(t.key)}">{text(t.title)}</a>' for t in tables]
    links.append('<a href="#commands">Commands</a>')
    return f"<nav>{''.join(links)}</nav>"


def curves(
    number: int, names: Sequence[str], first: int, titles: Mapping[str, Mapping[str, str]]
) -> str:
    """The legend and two plots; the page's script draws them."""
    chips = "".join(
        f'<button type="button" data-run="{i}" aria-pressed="{str(i < first).lower()}" '
        f'title="{text(name)}">{key(i)}<span class="name">{text(name)}</span></button>'
        for i, name in enumerate(names)
    )
    both = (("all", "Show all"), ("none", "Hide all"))
    several = "".join(
        f'<button type="button" class="several" data-several="{which}">{word}</button>'
        for which, word in both
    )
    plots = "".join(_plot(number, split, titles[split]) for split in ("test", "train"))
    return (
        f'<h3>Curves</h3><div class="curves" data-section="{number}">'
        '<div class="legend" role="group" aria-label="Runs that are drawn">'
        f"{several if len(names) > 1 else ''}{chips}</div>"
        f'<div class="plots">{plots}</div></div>'
    )


def samples(section: Section, names: Sequence[str], pictures: Mapping[Record, Strips]) -> str:
    """The fills of the same test images below each other, their real and masked rows once."""
    blocks: dict[str, list[tuple[int, Record]]] = {}
    for i, run in enumerate(section.runs):
        if run in pictures:
            blocks.setdefault(pictures[run].same, []).append((i, run))
    if not blocks:
        return ""
    found = [
        "<h3>Samples</h3>",
        '<p class="quiet">The same test images and holes for all runs of a block. '
        "Click a row to enlarge it.</p>",
    ]
    for members in blocks.values():
        shared = pictures[members[0][1]]
        rows = [_strip("real", "real", shared.real, "real images")]
        rows.append(_strip("masked", "masked", shared.masked, "masked images"))
        for i, run in members:
            psnr = f"PSNR {run.last['psnr_db']:.2f} dB"
            who = f'{key(i)}{text(names[i])}<br><span class="quiet">{psnr} · '
            who += f"step {pictures[run].step:,}</span>"
            title = text(f"{names[i]}, step {pictures[run].step:,}")
            rows.append(_strip("filled", who, pictures[run].filled, title))
        wide = min(1000, max(shared.width * 4, 480))
        found.append(f'<div class="samples" style="--wide:{wide}px">{"".join(rows)}</div>')
    missing = len(section.runs) - sum(map(len, blocks.values()))
    if missing:
        found.append(f'<p class="quiet">{missing} more have no picture here.</p>')
    return "".join(found)


def commands(runs: Sequence[Record]) -> str:
    """Each run as the command that makes it again."""
    rows = []
    for run in runs:
        code = f"<code>{text(command(run))}</code>" if run.overrides is not None else ""
        button = '<button type="button">Copy</button>' if code else ""
        code = code or '<span class="quiet">its overrides were not saved</span>'
        who = f'<span class="who">{breakable(run.label)}</span>'
        rows.append(f'<div class="command">{who}{code}{button}</div>')
    return f'<section id="commands"><h2>Commands</h2>{"".join(rows)}</section>'


def command(run: Record) -> str:
    """The command line that trains such a run."""
    overrides = list(run.overrides or ())
    for name in RESUMED:
        value = run.settings.values.get(name)
        given = [o for o in overrides if o.startswith(f"{name}=")]
        if given and value is not None and given[-1] != f"{name}={value}":
            overrides = [o for o in overrides if o not in given] + [f"{name}={value}"]
    return shlex.join(["python", "-m", "ctxenc.train", *overrides])


def _plot(number: int, split: str, titles: Mapping[str, str]) -> str:
    options = "".join(f'<option value="{k}">{text(t)}</option>' for k, t in titles.items())
    what = "test" if split == "test" else "training"
    return (
        f'<figure data-split="{split}"><figcaption>'
        f'<select aria-label="{what} metric of table {number + 1}">{options}</select>'
        '<label><input type="checkbox"> logarithmic</label></figcaption>'
        '<div class="plot"></div></figure>'
    )


def _strip(kind: str, who: str, row: Picture, alt: str) -> str:
    height, width = row.shape[:2]
    small = ' class="small"' if height < 96 else ""
    image = f'<img{small} src="{uri(row)}" alt="{alt}" width="{width}" height="{height}">'
    if kind == "filled":
        image = f'<button type="button" title="Enlarge">{image}</button>'
    return f'<div class="strip {kind}"><div class="who">{who}</div>{image}</div>'
