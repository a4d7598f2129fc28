"""The picture of a run: validation metrics, and whatever was logged, over the steps.

A panel shows one quantity, so that no line needs a scale of its own.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ctxenc.metrics.registry import LABEL_ACCURACY, METRICS
from ctxenc.run_folder.files import is_number, whole

Records = list[dict[str, Any]]

VALIDATED = ("psnr_db", "sharpness", LABEL_ACCURACY)  # metrics that are drawn
LOGGED = {  # by the panel's title, what is in it and how that is called there
    "generator loss (lower is better)": {
        "generator_loss": "weighted sum, which it minimises",
        "reconstruction_loss": "reconstruction",
    },
    "seam loss (lower is better)": {"seam_loss": "seam"},
    "label loss (lower is better)": {"label_loss": "label"},
    "training label accuracy (higher is better)": {"label_accuracy": "label"},
    "adversarial loss (lower: fools the discriminator)": {"adversarial_loss": "adversarial"},
    "discriminator loss (lower: tells better)": {
        "discriminator_loss": "what it minimises",
        "discriminator_loss_real": "on real pixels",
        "discriminator_loss_fake": "on filled pixels",
    },
    "discriminator accuracy (share that it gets right)": {
        "accuracy_real": "real ones taken for real",
        "accuracy_fake": "filled ones taken for filled",
    },
}
SUMS = ("generator_loss", "discriminator_loss")  # broad and pale, as a term may be all of it
NOT_DRAWN = ("split", "step", "epoch", "masked_fraction", "images_per_second", "waited_for_data")
MOST_OTHERS = 6  # panels of what this version does not know
FEW, MANY = 30, 200  # points that are marked one by one; that are too many for one line

DPI = 100
WIDTH, HEIGHT = 3.7, 2.1  # inches of the axes, and around them:
LEFT, ABOVE, LEGEND, BELOW = 0.65, 0.35, 0.17, 0.45  # `LEGEND` a line of it, which has two labels


@dataclass
class _Panel:
    title: str
    records: Records
    lines: Mapping[str, str]  # labels, by the names in the records
    references: Mapping[str, float] = field(default_factory=dict)  # levels, by their labels

    @property
    def drawn(self) -> dict[str, Records]:
        """The records of each line that has any."""
        found = {n: [r for r in self.records if is_number(r.get(n))] for n in self.lines}
        return {name: records for name, records in found.items() if records}

    @property
    def legend(self) -> int:
        """Its lines; none where the title says it all."""
        count = len(self.drawn) + len(self.references)
        return (count + 1) // 2 if count > 1 else 0


class Picture(Figure):
    """A figure that a notebook shows without pyplot, and so without a backend."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=DPI)
        return out.getvalue()


def save(file: Path, picture: Figure) -> None:
    """Write ``curves.png``, whole or not at all."""
    with whole(file) as temporary:
        picture.savefig(temporary, format="png", dpi=DPI)


def draw(
    title: str,
    train: Records,
    validation: Records,
    to_beat: Mapping[str, Mapping[str, float]],
    chance_loss: float | None,
) -> Picture:
    """Draw the lines of ``metrics.jsonl``.

    Args:
        title: whose curves they are.
        train: lines of training.
        validation: lines of validations.
        to_beat: by metric, the figures of fills that need no training, by what is written of them.
        chance_loss: that of a discriminator that cannot tell real from filled.
    """
    panels = _panels(train, validation, to_beat, chance_loss)
    last = max([1, *(line["step"] for line in (*train, *validation))])
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    above = ABOVE + LEGEND * max(panel.legend for panel in panels)
    width, height = columns * (LEFT + WIDTH) + 0.2, rows * (above + HEIGHT + BELOW) + 0.2
    figure = Picture(figsize=(width, height))
    figure.subplots_adjust(  # by hand: a layout engine draws everything twice
        *(LEFT / width, BELOW / height, 1 - 0.2 / width, 1 - (above + 0.2) / height),
        wspace=LEFT / WIDTH,
        hspace=(above + BELOW) / HEIGHT,
    )
    for number, panel in enumerate(panels):
        axis = figure.add_subplot(rows, columns, number + 1)
        axis.set_xlim(0, 1.03 * last)
        _draw(axis, panel)
    figure.text(*(0.1 / width, 1 - 0.1 / height, title), va="top", weight="bold", parse_math=False)
    return figure


def _panels(
    train: Records,
    validation: Records,
    to_beat: Mapping[str, Mapping[str, float]],
    chance_loss: float | None,
) -> list[_Panel]:
    """Those of which something was logged; of the validation PSNR and the loss, in any case."""
    panels = []
    for name in VALIDATED:
        metric, levels = METRICS[name], dict(to_beat.get(name, {}))
        levels |= {"real pixels 1": 1.0} if metric.better == "nearer 1" else {}
        better = ", ".join(filter(None, [metric.unit, f"{metric.better} is better"]))
        of = "" if name == LABEL_ACCURACY else " of the hole"
        title = f"validation {metric.title}{of} ({better})"
        panels.append(_Panel(title, validation, {name: "model"}, levels))
    chance = (
        {} if chance_loss is None else {f"{chance_loss:.3f}: cannot tell them apart": chance_loss}
    )
    for title, lines in LOGGED.items():
        levels = chance if "discriminator_loss" in lines else {}
        panels.append(_Panel(title, train, lines, levels))
    known = {*NOT_DRAWN, *(name for lines in LOGGED.values() for name in lines)}
    others = [n for n in dict.fromkeys(n for line in train for n in line) if n not in known]
    panels += [_Panel(n.replace("_", " "), train, {n: n}) for n in others[:MOST_OTHERS]]
    return [p for p in panels if p.drawn or {VALIDATED[0], SUMS[0]} & p.lines.keys()]


def _draw(axis: Axes, panel: _Panel) -> None:
    """The panel's lines, with all that is written above and below the axes."""
    styles, xlabel = iter(("-", "--", "-.")), "step"
    for number, (name, records) in enumerate(panel.drawn.items()):
        steps, values = np.array([(record["step"], record[name]) for record in records], float).T
        look: dict[str, Any] = {"color": f"C{number}", "label": panel.lines[name]}
        if name in SUMS:
            look |= {"lw": 4, "ms": 10, "alpha": 0.35}
        else:
            look |= {"lw": 1.2, "ls": next(styles)}
        if len(records) > MANY:
            axis.plot(steps, values, color=look["color"], lw=0.6, alpha=0.25)
            kernel = np.full(len(records) // 50, 1 / (len(records) // 50))
            steps, values = (np.convolve(v, kernel, "valid") for v in (steps, values))
            xlabel = f"step (bold: means of {len(kernel)} values)"
        axis.plot(steps, values, marker="." if len(records) <= FEW else "", **look)
    for (label, level), style in zip(panel.references.items(), ("--", ":", "-."), strict=False):
        axis.axhline(level, label=label, color="dimgrey", lw=1, ls=style)
    if not axis.lines:
        axis.text(0.5, 0.5, "no values yet", ha="center", transform=axis.transAxes)
    axis.grid(alpha=0.2)
    axis.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10), integer=True))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(xlabel)
    if panel.legend:
        look = {"frameon": False, "fontsize": 8, "handlelength": 2.6, "columnspacing": 1}
        look |= {"bbox_to_anchor": (-0.02, 1), "borderaxespad": 0.1, "labelspacing": 0.25}
        axis.legend(loc="lower left", ncols=2, **look)
    pad = 5 + 72 * LEGEND * panel.legend  # points
    axis.set_title(panel.title, loc="left", pad=pad, fontsize=10, parse_math=False)
