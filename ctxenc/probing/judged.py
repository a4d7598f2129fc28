"""How well simple classifiers tell classes by an encoder's features, stage by stage."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from ctxenc.evaluation.evaluate import Progress
from ctxenc.probing import features, linear, neighbours
from ctxenc.probing.features import Encoder, Features
from ctxenc.probing.labelled import Labelled

Classes = Int[np.ndarray, " images"]


@dataclass(frozen=True)
class Judged:
    """How the features of one encoder were judged.

    `validation` has by stage what share of the validation images a classifier of its features has
    right, in per cent (of joined stages, the linear one alone); `chosen` by method the stage that
    is best by it; `predicted` by method the classes of the test images by that stage. `nearest` are
    the training images that are nearest to each test image.
    """

    validation: dict[str, dict[str, float]]
    chosen: dict[str, dict[str, Any]]
    predicted: dict[str, Classes]
    nearest: Int[np.ndarray, "images k"]


def judged(encoder: Encoder, what: str, images: Labelled, progress: Progress) -> Judged:
    """Judge the features of every stage on validation images, and of the best on test images."""

    def extract(split: str, stages: Sequence[str] | None = None) -> dict[str, Features]:
        found = features.extract(
            encoder.only(stages),
            getattr(images, split).images,
            images.batch_size,
            functools.partial(progress, f"{what}: {split} features"),
        )
        return features.with_joined(found)

    seen = {split: extract(split) for split in ("train", "validation")}
    numbers, true, count = images.train.numbers, images.validation.numbers, len(images.classes)
    validation: dict[str, dict[str, float]] = {}
    standards, classifiers = {}, {}
    for stage, train in seen["train"].items():
        held_out = seen["validation"][stage]
        standard = standards[stage] = train.standard()

        def accuracy(classifier: linear.Linear, held_out: Features = held_out) -> float:
            return percent(classifier.predict(held_out), true)

        classifiers[stage], best = linear.best(train, standard, numbers, count, accuracy)
        validation[stage] = {"features": train.width, "linear": best}
        if stage != features.JOINED:  # it would take as long as all stages, for a point at most
            cosines, nearest = neighbours.nearest(train, held_out, standard)
            by_vote = percent(neighbours.vote(cosines, numbers[nearest], count), true)
            validation[stage]["knn"] = by_vote
        progress(f"{what}: {stage} on validation", len(true), len(true))
    stage_of = {
        method: max((of[method], stage) for stage, of in validation.items() if method in of)[1]
        for method in ("linear", "knn")
    }
    needed = dict.fromkeys(stage_of.values())
    tested = extract("test", None if features.JOINED in needed else tuple(needed))
    by_line, by_vote_of = stage_of["linear"], stage_of["knn"]
    cosines, nearest = neighbours.nearest(
        seen["train"][by_vote_of], tested[by_vote_of], standards[by_vote_of]
    )
    chosen = {m: {"stage": s, "validation": validation[s][m]} for m, s in stage_of.items()}
    chosen["linear"]["penalty"] = classifiers[by_line].penalty
    predicted = {
        "linear": classifiers[by_line].predict(tested[by_line]),
        "knn": neighbours.vote(cosines, numbers[nearest], count),
    }
    return Judged(validation, chosen, predicted, nearest)


def percent(predicted: Classes, true: Classes) -> float:
    """How many of the images are of the class that was predicted."""
    return 100 * float((predicted == true).mean())
