"""The picture of a run: the losses of both networks and the test PSNR over the steps."""

import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxenc.runs.atomic_write import whole

Records = list[dict[str, Any]]

GENERATOR = {"generator": "total (weighted)", "pixelwise": "pixel-wise (L2)"}
REFERENCE: dict[str, Any] = {"color": "grey", "lw": 0.8, "ls": ":"}
DISCRIMINATOR = {"real": "on real pixels", "fake": "on filled pixels", "discriminator": "mean"}


def save(file: Path, train: Records, test: Records, context_mean_db: float) -> None:
    """Draw ``curves.png`` from the lines of ``metrics.jsonl``, whole or not at all."""
    judged = any(record.get("discriminator") is not None for record in train)
    panels = 3 if judged else 2
    figure = Figure(figsize=(4.6 * panels, 3.6))
    inch = 1 / (4.6 * panels)  # margins by hand: a layout engine draws everything twice
    figure.subplots_adjust(left=0.6 * inch, right=1 - 0.1 * inch, bottom=0.14, top=0.91, wspace=0.3)
    axes = iter(figure.subplots(1, panels))

    _generator(next(axes), train, judged)
    if judged:
        _discriminator(next(axes), train)
    _quality(next(axes), test, context_mean_db)

    with whole(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _generator(axis: Axes, train: Records, judged: bool) -> None:
    """The generator's losses; the adversarial one is of another size, so it has its own scale."""
    _lines(axis, train, GENERATOR)
    lines = [*axis.lines]
    if judged:
        twin = axis.twinx()
        _lines(twin, train, {"adversarial": "adversarial (right)"}, color="tab:red")
        lines += twin.lines
    axis.set(title="generator loss", xlabel="step")
    axis.legend(handles=lines, fontsize=8)


def _discriminator(axis: Axes, train: Records) -> None:
    _lines(axis, train, DISCRIMINATOR)
    axis.axhline(math.log(2), label="ln 2: cannot tell", **REFERENCE)
    axis.set(title="discriminator loss", xlabel="step")
    axis.legend(fontsize=8)


def _quality(axis: Axes, test: Records, context_mean_db: float) -> None:
    _lines(axis, test, {"psnr_db": "model"}, marker=".")
    axis.axhline(context_mean_db, label="context mean", **REFERENCE)
    axis.set(title="test PSNR on the hole (dB)", xlabel="step")
    axis.legend(fontsize=8)


def _lines(axis: Axes, records: Records, names: dict[str, str], **style: Any) -> None:
    steps = [record["step"] for record in records]
    for name, label in names.items():
        axis.plot(steps, [record[name] for record in records], lw=1, label=label, **style)
    axis.grid(alpha=0.2)
