"""The evaluations of runs as a comparison reads them: of which images and checkpoint, and how good.

Test figures are of evaluations alone. A run's own are those of its own test split and masks; where
it has several, the checkpoint decides which stands in a table, and never the figures.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ctxenc.comparison.figures import Figures
from ctxenc.comparison.records import Record, TestedOn, natural
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation, is_own
from ctxenc.run_folder.files import is_number

ORDER = ("best", "latest")  # of a run's own evaluations, the first is shown


@dataclass(frozen=True, eq=False)
class Evaluated:
    """One evaluation of a run.

    `on` is the hash of the masks and the fingerprint of the images, `own` whether these are the
    run's own. `saved` tells checkpoints apart; `checkpoint` names it as `Record.called`.
    """

    record: Record
    evaluation: Evaluation
    on: tuple[str, str]
    own: bool
    saved: tuple[str, str, str]
    checkpoint: str
    images: float | None
    figures: Figures
    intervals: Mapping[str, tuple[float, float]]

    @property
    def name(self) -> str:
        """Of the run, with the checkpoint where that is not the usual one."""
        label = self.record.label
        return label if self.checkpoint == "best" else f"{label} ({self.checkpoint})"


class Tests(NamedTuple):
    """The test figures of runs that were trained alike, all of the same images and masks.

    `elsewhere` are the runs whose own test images or masks are others, `several` says whether a
    choice was made between a run's evaluations. `every` has all of a run's, of whatever images, in
    the order of preference, and `damaged` says what is wrong with those that cannot be read.
    """

    shown: Mapping[Record, Evaluated]
    elsewhere: frozenset[Record]
    several: bool
    every: Mapping[Record, list[Evaluated]]
    damaged: Mapping[Record, list[str]]


def read(record: Record, evaluation: Evaluation) -> Evaluated:
    """What an evaluation's ``metrics.json`` says.

    Raises:
        UserError: the file is damaged, or does not say what the evaluation is of.
    """
    metrics = evaluation.metrics
    dataset, saved, rows = (metrics.get(key) or {} for key in ("dataset", "checkpoint", "rows"))
    masks, images = metrics.get("mask_hash"), dataset.get("test_fingerprint")
    if not (masks and images):
        file = evaluation.path / "metrics.json"
        raise UserError(f"{file}: mask_hash and dataset.test_fingerprint are not both there")
    which, step, weights = (str(saved.get(key, ""))[:20] for key in ("which", "step", "weights"))
    weights = weights or "raw"  # the only ones, before there were others
    figures, intervals = {}, {}
    for name, figure in (rows.get("model") or {}).items():
        mean, low, high = map((figure or {}).get, ("mean", "low", "high"))
        if is_number(mean):
            figures[name] = float(mean)
            if is_number(low) and is_number(high):
                intervals[name] = (float(low), float(high))
    return Evaluated(
        record=record,
        evaluation=evaluation,
        on=(masks, images),
        own=is_own(metrics) or record.tested_on == TestedOn("test", masks, images),
        saved=(which, step, weights),
        checkpoint=record.called(saved),
        images=metrics.get("images"),
        figures=figures,
        intervals=intervals,
    )


def preference(found: Evaluated) -> tuple[int, Any]:
    """A key to sort a run's evaluations by: those of `ORDER` first, whatever their figures."""
    rank = ORDER.index(found.checkpoint) if found.checkpoint in ORDER else len(ORDER)
    return rank, natural(found.evaluation.name)


def tests(runs: Iterable[Record]) -> Tests:
    """Each run's own evaluation of the test images and masks that most of the runs have.

    An evaluation that is damaged is passed over: `ctxenc.comparison.paired` names it.
    """
    chosen: dict[Record, Evaluated] = {}
    every: dict[Record, list[Evaluated]] = {}
    damaged: dict[Record, list[str]] = {}
    several = False
    for run in runs:
        every[run] = []
        for evaluation in Evaluation.all_of(run.run):
            try:
                every[run].append(read(run, evaluation))
            except UserError as error:
                damaged.setdefault(run, []).append(str(error))
        every[run].sort(key=preference)
        if own := [found for found in every[run] if found.own]:
            chosen[run] = own[0]
            several |= len(own) > 1
    most = Counter(found.on for found in chosen.values()).most_common(1)
    shown = {run: found for run, found in chosen.items() if found.on == most[0][0]}
    elsewhere = frozenset(chosen.keys() - shown.keys())
    return Tests(shown, elsewhere, several, every, damaged)
