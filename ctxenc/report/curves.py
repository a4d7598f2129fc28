"""The picture of a run: whatever was logged, and the validation PSNR, over the steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ctxenc.run_folder.files import is_number, whole

Records = list[dict[str, Any]]

REFERENCE: dict[str, Any] = {"color": "grey", "lw": 0.8, "ls": ":"}
REFERENCES = (":", "--", "-.")  # one line style a fill
LABELS = {  # where more than the name is to be said
    "generator_loss": "generator loss: the weighted sum",
    "discriminator_loss": "discriminator loss: the mean",
    "discriminator_loss_real": "on real pixels",
    "discriminator_loss_fake": "on filled pixels",
    "accuracy_real": "real ones taken for real",
    "accuracy_fake": "filled ones taken for filled",
}
NOT_DRAWN = ("split", "step", "epoch", "masked_fraction", "images_per_second", "waited_for_data")


def save(
    file: Path,
    train: Records,
    validation: Records,
    to_beat: dict[str, float],
    chance_loss: float | None,
) -> None:
    """Draw ``curves.png`` from the lines of ``metrics.jsonl``, whole or not at all.

    Args:
        file: where.
        train: lines of training.
        validation: lines of validations.
        to_beat: the validation PSNR of fills that need no training, by what is written of them.
        chance_loss: that of a discriminator that cannot tell real from filled.
    """
    names = list(dict.fromkeys([n for line in train for n in line if n not in NOT_DRAWN]))
    judging = [n for n in names if n.startswith("discriminator_loss")]
    losses = [n for n in names if n.endswith("_loss") and not n.startswith("discriminator")]
    accuracies = [n for n in names if n.startswith("accuracy")]
    others = [n for n in names if n not in (*losses, *judging, *accuracies)]
    titles = ("discriminator loss", "discriminator accuracy", "also logged")
    groups = {t: g for t, g in zip(titles, (judging, accuracies, others), strict=True) if g}
    width = 4.6 * (2 + len(groups))
    figure = Figure(figsize=(width, 3.6))
    inch = 1 / width  # margins by hand: a layout engine draws everything twice
    figure.subplots_adjust(left=0.6 * inch, right=1 - 0.1 * inch, bottom=0.14, top=0.91, wspace=0.3)
    first, *middle, last = figure.subplots(1, 2 + len(groups))

    _generator(first, train, losses)
    for axis, (title, group) in zip(middle, groups.items(), strict=True):
        _lines(axis, train, group)
        if group is judging and chance_loss is not None:
            label = f"{chance_loss:.3f}: cannot tell real from filled"
            axis.axhline(chance_loss, label=label, **REFERENCE)
        axis.set(title=title)
    _lines(last, validation, ["psnr_db"], label="model", marker=".")
    for number, (label, db) in enumerate(to_beat.items()):
        last.axhline(db, label=label, **REFERENCE | {"ls": REFERENCES[number % len(REFERENCES)]})
    last.set(title="validation PSNR of the hole (dB)")
    for axis in (*middle, last):
        axis.set(xlabel="step")
        axis.legend(fontsize=8)

    with whole(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _generator(axis: Axes, train: Records, names: Sequence[str]) -> None:
    """The generator's losses; the adversarial one is of another size, so it has its own scale."""
    _lines(axis, train, [name for name in names if name != "adversarial_loss"])
    lines, above = [*axis.lines], axis
    if "adversarial_loss" in names:
        twin = axis.twinx()
        label = "adversarial loss (right)"
        _lines(twin, train, ["adversarial_loss"], label=label, color="tab:red")
        lines, above = [*lines, *twin.lines], twin
    axis.set(title="generator loss", xlabel="step")
    # Of the axis that is drawn last, and in the middle: these losses fall while that one rises.
    above.legend(handles=lines, fontsize=8, loc="center right")


def _lines(axis: Axes, records: Records, names: Sequence[str], **style: Any) -> None:
    for name in names:
        known = [record for record in records if is_number(record.get(name))]
        steps, values = [r["step"] for r in known], [r[name] for r in known]
        axis.plot(
            steps, values, lw=1, **{"label": LABELS.get(name, name.replace("_", " ")), **style}
        )
    axis.grid(alpha=0.2)
