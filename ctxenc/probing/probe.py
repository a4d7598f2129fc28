"""A probe: what simple classifiers make of an encoder's features, beside untrained baselines."""

import functools
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ctxenc.errors import UserError, warned
from ctxenc.evaluation.evaluate import Progress, check_name
from ctxenc.evaluation.load import check_held_out, which
from ctxenc.metrics import bootstrap
from ctxenc.metrics.registry import METRICS
from ctxenc.paths import expanded
from ctxenc.probing import controls, features, labelled, pictures
from ctxenc.probing import finetune as finetuning
from ctxenc.probing.features import Encoder
from ctxenc.probing.finetune import share
from ctxenc.probing.folder import Probe
from ctxenc.probing.judged import Judged, judged, percent
from ctxenc.probing.labelled import Labelled
from ctxenc.state import Variables
from ctxenc.trained import TrainedModel

OWN, RANDOM = "this encoder", "random weights"  # what the progress says
OWN_ROWS = ("model", "random", "pixels")


def probe(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    stages: str = "all",
    pool: int = features.POOL,
    checkpoint: str = "best",
    raw: bool = False,
    name: str | None = None,
    finetune: Sequence[str] = (),
    beside: Sequence[str | Path] = (),
    keep: Callable[[Probe], bool] = lambda probe: False,
    progress: Progress = lambda what, done, total: None,
) -> Probe:
    """Judge a run's encoder by its features, and write it to the run's `probe/` folder.

    Beside it are the pixels, and the network with the weights that the run's seed draws, whatever
    `init_from` it began with; what this process has judged on the same images is not judged again.
    The test images are looked at once, at the stage and with the penalty that are best on
    validation images.

    Args:
        path: the run folder.
        overrides: Hydra's, of the images.
        stages: ``all``, or names with commas between.
        pool: over how many cells a side maps are averaged.
        checkpoint: ``best``, ``latest`` or the number of a saved step.
        raw: the weights as that step left them, even where an average was kept.
        name: of the probe; None: the dataset, and what else was overridden.
        finetune: with which shares of the training images' labels all weights are trained, too.
        beside: other runs whose encoders are judged likewise.
        keep: asked whether a probe of the same weights with the same options, which is there
            already, is left as it is and returned.
        progress: told how far each pass over images is.

    Raises:
        UserError: bad input, before anything is written.
    """
    check_name(name)
    if pool < 1:
        raise UserError(f"--pool {pool}: must be 1 or more")
    shares = tuple(map(share, finetune))
    wanted = None if stages == "all" else [part.strip() for part in stages.split(",")]
    trained = TrainedModel.load(path, checkpoint, raw=raw)
    images, own_name, source = labelled.load(trained, overrides)
    _encoder(trained, trained.variables, images, pool).only(wanted)  # or refused
    runs = _titled(beside)
    others = {row: TrainedModel.load(run, checkpoint, raw=raw) for row, run in runs.items()}
    for other in others.values():
        check_held_out(other.config.dataset, source)
        _encoder(other, other.variables, images, pool)
    weights = [{"run": str(other.run.path), **other.described} for other in others.values()]
    options: dict[str, Any] = {"stages": stages, "pool": pool, "beside": weights}
    options["joined"] = features.WIDEST_JOINED  # probes without it had no such stage
    measured_on: dict[str, Any] = {
        "checkpoint": {"which": checkpoint, **trained.described},
        "dataset": images.described,
        "images": len(images.test.images),
        "overrides": list(overrides),
        "options": options,
    }
    if name is None:
        own_name += _words(stages, pool) + which(trained, checkpoint, raw=raw)
        written = Probe.apart(trained.run, own_name, measured_on)
    else:
        written = Probe.of(trained.run, name)
    measured_on = {"name": written.name, **measured_on}
    if written.says(measured_on) and _has(written, shares) and keep(written):
        return written
    known = _known(str(images.described), images.batch_size, pool, stages)
    networks = {
        "model": _Network(OWN, trained, trained.variables),
        "random": _Network(RANDOM, trained, None),
        **{title: _Network(title, other, other.variables) for title, other in others.items()},
    }
    found = {}
    for row, network in networks.items():
        kept = {} if row == "model" else known
        found[row] = _judged(network, images, (pool, wanted, shares), kept, progress)
    if "pixels" not in known:
        cells = min(images.image_size, controls.PIXELS)
        known["pixels"] = judged(features.of_pixels(cells), "pixels", images, progress)
    found["pixels"] = known["pixels"]
    methods = ["linear", "knn", *map(_method, shares)]
    hits = {
        f"{row}.{method}": 100.0 * (of.predicted[method] == images.test.numbers)
        for row, of in found.items()
        for method in methods
        if method in of.predicted
    }
    figures, differences = _figures(hits)
    metrics = {
        "run": str(trained.run.path),
        **measured_on,
        "rows": {
            row: {m: figures[f"{row}.{m}"] | of.chosen[m] for m in methods if m in of.predicted}
            for row, of in found.items()
        },
        "model_minus": differences,
        "stages": {row: of.validation for row, of in found.items()},
        "chance": 100 * float(np.bincount(images.test.numbers).max()) / len(images.test.numbers),
    }
    with warned():
        _save_pictures(written, found["model"], images)
    written.write(metrics, {"class": images.test.numbers.astype(float), **hits})
    return written


def _has(probe: Probe, shares: Sequence[float]) -> bool:
    """Whether an earlier probe has fine-tuned with these shares of the labels, too."""
    return {_method(share) for share in shares} <= probe.metrics["rows"]["model"].keys()


def _method(share: float) -> str:
    """What fine-tuning with a share of the labels is called: ``finetune_10`` with 10 %."""
    return f"finetune_{100 * share:g}".replace(".", "_")


class _Network(NamedTuple):
    """A network to judge: a title for people, its run, and its weights; None for random ones."""

    title: str
    trained: TrainedModel
    own: Variables | None

    @property
    def key(self) -> str:
        """What tells it from others."""
        if self.own is not None:
            return f"{self.trained.run.path} {self.trained.described}"
        model = self.trained.model
        what = model.generator, model.geometry.channels, model.bfloat16_products
        return f"{RANDOM} {self.trained.config.seed} {what!r}"

    def variables(self, images: Labelled) -> Variables:
        """Its weights: random ones are those that the run's seed draws."""
        if self.own is not None:
            return self.own
        return controls.random_weights(
            *(self.trained.model, self.trained.config.seed, images.train.images),
            *(images.image_size, images.batch_size),
        )


def _judged(
    network: _Network,
    images: Labelled,
    options: tuple[int, Sequence[str] | None, Sequence[float]],
    known: dict[str, Judged],
    progress: Progress,
) -> Judged:
    """How a network's features are judged and, with shares of the labels, all its weights."""
    (pool, wanted, shares), model = options, network.trained.model
    found, seed = known.get(network.key), network.trained.config.seed
    missing = [s for s in shares if found is None or _method(s) not in found.predicted]
    if found is not None and not missing:
        return found
    variables = network.variables(images)
    if found is None:
        encoder = _encoder(network.trained, variables, images, pool)
        encoder = encoder.only(wanted if network.title in (OWN, RANDOM) else None)
        found = known[network.key] = judged(encoder, network.title, images, progress)
    for part in missing:
        told = functools.partial(progress, f"{network.title}: {100 * part:g} % of the labels")
        tuned = finetuning.tuned(model, variables, images, part, seed, told)
        on_validation = tuned.predict(images.validation.images, images.batch_size)
        right = percent(on_validation, images.validation.numbers)
        found.chosen[_method(part)] = {"validation": right}
        found.predicted[_method(part)] = tuned.predict(images.test.images, images.batch_size)
    return found


def _save_pictures(probe: Probe, model: Judged, images: Labelled) -> None:
    titles = {
        method: f"{METRICS[f'probe.{method}'].title} at {model.chosen[method]['stage']}, "
        f"{percent(model.predicted[method], images.test.numbers):.1f} % of "
        f"{len(images.test.images):,} test images right"
        for method in ("linear", "knn")
    }
    predicted = model.predicted["linear"]
    pictures.save_confusion(probe.confusion, predicted, images, titles["linear"])
    pictures.save_neighbours(
        probe.neighbours, model.nearest, images, f"nearest training images: {titles['knn']}"
    )


@functools.lru_cache(maxsize=2)
def _known(*images: Hashable) -> dict[str, Judged]:
    """What this process has judged on some images; probes put theirs here."""
    return {}


def _encoder(trained: TrainedModel, variables: Variables, images: Labelled, pool: int) -> Encoder:
    return features.of_network(trained.model, variables, images.image_size, pool)


def _titled(runs: Sequence[str | Path]) -> dict[str, Path]:
    """Other runs by the names of their rows, also in columns of a CSV file.

    A row is called as the run's folder is, and with as many of those above it as tell it apart.
    """
    found: dict[str, Path] = {}
    for run in (Path(os.path.normpath(expanded(run).absolute())) for run in runs):
        if run in found.values():
            raise UserError(f"--beside {run}: named twice")
        texts = ("_".join(run.parts[-count:]) for count in range(1, len(run.parts) + 1))
        rows = ("".join(c if c.isalnum() or c in "-_=." else "_" for c in text) for text in texts)
        found[next(row for row in rows if row not in (*OWN_ROWS, *found))] = run
    return found


def _words(stages: str, pool: int) -> str:
    words = [] if stages == "all" else stages.replace(" ", "").split(",")
    words += [] if pool == features.POOL else [f"pool{pool}"]
    return "".join(f"-{word}" for word in words)


def _figures(
    hits: dict[str, Float[np.ndarray, " images"]],
) -> tuple[dict[str, bootstrap.Figure], dict[str, dict[str, bootstrap.Figure]]]:
    """(Each column's share with its interval; by row and method, the model's less it, paired)."""
    table = np.stack(list(hits.values()), axis=1)
    samples = np.vstack([bootstrap.means(table), bootstrap.resampled_means(table)]).T
    by_name = dict(zip(hits, samples, strict=True))
    differences: dict[str, dict[str, bootstrap.Figure]] = {}
    for name, of in by_name.items():
        row, _, method = name.rpartition(".")
        if row != "model":
            lead = bootstrap.figure(by_name[f"model.{method}"] - of)
            differences.setdefault(row, {})[method] = lead
    return {name: bootstrap.figure(of) for name, of in by_name.items()}, differences
