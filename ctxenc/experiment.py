"""One run, from a checked configuration to its last checkpoint: the file to read first.

`Experiment.of` makes everything ready and refuses what cannot run, before a folder is made.
`train` builds or restores the state; then each step takes a batch and updates the networks and,
where they are due, writes a line of figures, saves a grid of samples, or validates and saves a
checkpoint. The test split is not touched: it is for `ctxenc.evaluate`.
"""

import functools
import logging
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Float
from omegaconf import DictConfig

from ctxenc import losses, metrics, step
from ctxenc.baselines import BASELINES, prepared
from ctxenc.config import build
from ctxenc.config.schema import Config
from ctxenc.config.shrink import shrunk_to
from ctxenc.data.images import Dataset, fingerprint, mean_colour
from ctxenc.data.labels import Labels, labels_of
from ctxenc.data.loaders import Sampler, training_loader
from ctxenc.data.near_copies import near_copies
from ctxenc.errors import UserError
from ctxenc.evaluation.held_out import HeldOutSplit
from ctxenc.metrics.registry import LABEL_ACCURACY
from ctxenc.parallel import devices, processes
from ctxenc.report.progress import Bar
from ctxenc.run_folder import checkpoints as saved
from ctxenc.run_folder.checkpoints import Checkpoints
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.run_log import Intervals, RunLog
from ctxenc.run_folder.samples import Samples
from ctxenc.run_folder.session import Background, Session, session
from ctxenc.run_folder.trackers import Trackers
from ctxenc.state import Logged, Model, TrainState
from ctxenc.tracking import Tracker
from ctxenc.warm_start import WarmStart

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """What a run trains, on what, in which order and for how long."""

    config: Config
    model: Model
    dataset: Dataset
    sampler: Sampler
    intervals: Intervals
    tracker: Tracker
    warm_start: WarmStart | None = None

    @classmethod
    def of(cls, config: Config) -> "Experiment":
        """The experiment of a checked configuration.

        Raises:
            UserError: the data cannot be had, a part breaks its contract, or sizes do not fit
                together.
        """
        tracker = build.tracker(config)
        devices.check_batch(config.batch_size, resumed=config.resume is not None)
        model = build.model(config, build.classes(config))
        build.check_model(model, config)
        dataset = build.dataset(config)
        if (smaller := shrunk_to(config, dataset)) != config:
            config = smaller
            build.check_model(model, config)
        sampler = Sampler(len(dataset.train), config.batch_size, config.seed)
        intervals = Intervals.of(config, sampler.steps_per_epoch)
        warm_start = WarmStart.of(config, model)
        return cls(config, model, dataset, sampler, intervals, tracker, warm_start)

    @property
    def key(self) -> jax.Array:
        """The run's random key: `fold_in(key, step)` gives a step its masks and flips."""
        return jax.random.key(self.config.seed)

    @functools.cached_property
    def mean_colour(self) -> Float[np.ndarray, " 3"]:
        """The training split's mean colour, in [-1, 1]."""
        return np.asarray(mean_colour(self.dataset.train), np.float32)

    @functools.cached_property
    def validation(self) -> HeldOutSplit:
        """The validation split with its masks."""
        size, sharding = self.config.batch_size, devices.shardings()[1]
        return HeldOutSplit(self.dataset.validation, self.model, size, sharding)

    @functools.cached_property
    def labels(self) -> tuple[Labels, Labels] | tuple[None, None]:
        """Those of the training and of the validation images; None where no loss term uses them."""
        if self.model.label_head is None:
            return None, None
        of = f"loss.label with the data set {self.dataset.name}"
        return labels_of(self.dataset.train, of), labels_of(self.dataset.validation, of)

    @property
    def hyper(self) -> dict[str, jax.Array]:
        """The numbers that the step is given."""
        return build.hyperparameters(self.config, self.mean_colour, self.intervals.total_steps)


def train(experiment: Experiment, run: Run, changed: DictConfig | None = None) -> None:
    """Train in `run`'s folder; where the configuration resumes, from the folder's checkpoint.

    Several processes call it together (`ctxenc.parallel.processes`).

    Args:
        experiment: what to train.
        run: its folder; one process, or group of processes, at a time.
        changed: a resumed run's new configuration, saved once its state is restored.

    Raises:
        UserError: a missing or damaged checkpoint, changed data, a loss that is not finite,
            another process at work in the folder.
        Interrupted: stopped by Ctrl-C or SIGTERM, after a checkpoint. A run that is told to stop
            during its last step is finished first.
    """
    config, intervals = experiment.config, experiment.intervals
    bar = Bar(
        intervals.total_steps,
        steps_per_epoch=intervals.steps_per_epoch,
        batch_size=config.batch_size,
        quiet=not processes.is_main(),
    )
    with session(run, bar, resumed=config.resume is not None) as current:
        _train(experiment, run, current, changed)


def _train(experiment: Experiment, run: Run, current: Session, changed: DictConfig | None) -> None:
    config, model, intervals = experiment.config, experiment.model, experiment.intervals
    written = (config.save_dir, config.samples_dir, run.tensorboard.name)
    save_dir, samples_dir, _ = map(run.own, written)  # a UserError where one is a link out of it
    everywhere, divided = devices.shardings()
    hyper, key = devices.put((experiment.hyper, experiment.key), everywhere)
    processes.together(lambda: describe_data(experiment, run))
    state, sums = initial_state(experiment, run, everywhere)
    start = int(state.step)
    with (
        Background() as background,
        Trackers(run, experiment.tracker, start, background) as trackers,
        Checkpoints(save_dir) as checkpoints,
    ):
        current.begin(start)
        continue_files(experiment, run, start, changed)
        of_training, of_validation = experiment.labels
        loader = training_loader(
            experiment.dataset.train,
            experiment.sampler,
            start,
            divided,
            config.num_workers,
            of_training.numbers.astype(np.int32) if of_training else None,
        )
        samples = Samples(
            samples_dir,
            experiment.validation,
            config.num_img,
            hyper["fill_value"],
            background,
            trackers,
            run.title,
            f"Validation images of {experiment.dataset.name}",
        )
        with RunLog(
            run=run,
            bar=current.bar,
            background=background,
            trackers=trackers,
            loader=loader,
            intervals=intervals,
            start=start,
            batch_size=config.batch_size,
            sums=sums,
            chance_loss=losses.chance_loss(model.loss.adversarial),
            baselines=baseline_figures(experiment.dataset, model, config.batch_size, divided),
            best_by=config.best_by,
        ) as run_log:
            for at in range(start + 1, intervals.total_steps + 1):
                images, classes = loader.next_batch(state)
                stepped = step.train_step(model, state, images, hyper, key, classes)
                state, logged = devices.settled(stepped)  # waits among several CPU processes alone
                current.at(at)
                run_log.step(at, logged)
                if intervals.due(at, intervals.sample_every):
                    run_log.flush()  # stops a run whose losses are not finite before it is shown
                    samples.save(at, state)
                if intervals.due(at, intervals.validate_every):
                    run_log.check_finite(at, state)
                    figures = validate(
                        experiment.validation, model, state, hyper["fill_value"], of_validation
                    )
                    run_log.validation(at, figures)
                    checkpoints.save(at, state, run_log.sums, figures, config.best_by)
                    run_log.summarise()
                    current.write_status("running")
                if (stop := current.stop_requested()) and at < intervals.total_steps:
                    run_log.check_finite(at, state)
                    checkpoints.save(at, state, run_log.sums)
                    checkpoints.wait()
                    log.warning("step %d: stopped by %s; saved", at, stop)
                    raise stop
            if start >= intervals.total_steps:  # nothing was left but, perhaps, pictures
                samples.save(start, state)
                run_log.summarise()


def initial_state(
    experiment: Experiment, run: Run, sharding: NamedSharding
) -> tuple[TrainState, Logged | None]:
    """A fresh state, or that of a checkpoint: `resume_step`, or the latest; and the running sums.

    A fresh state begins with the weights of `init_from`, where there is one.

    Raises:
        UserError: no such checkpoint, or a damaged one; the others are named.
    """
    config, size = experiment.config, experiment.config.image_size
    key = devices.put(experiment.key, sharding)
    if config.resume is None:
        warm = experiment.warm_start
        for line in warm.lines if warm else ():
            log.info("init_from: %s", line)
        weights = [devices.put(warm.weights, sharding)] if warm else []
        state = step.init(experiment.model, key, size, *weights)
        return jax.device_put(state, sharding), None
    template = devices.on_devices(
        step.init.eval_shape(experiment.model, experiment.key, size), sharding
    )
    wanted = config.resume_step
    try:
        state = saved.restore(run.checkpoints, template, wanted)
    except UserError as error:
        older = [at for at in saved.saved_steps(run.checkpoints) if wanted is None or at < wanted]
        older = older if wanted is not None else older[:-1]
        hint = f"; resume_step={older[-1]} continues from there" if older else ""
        raise UserError(f"{error}{hint}") from error
    if wanted is not None:
        processes.together(lambda: saved.drop_after(run.checkpoints, wanted))
    return state, saved.restore_sums(run.checkpoints, int(state.step), sharding)


def describe_data(experiment: Experiment, run: Run) -> None:
    """Write ``dataset.json``; for a resumed run, refuse data that is no longer the same."""
    described = data_of(experiment, run)
    if experiment.config.resume is None:
        warm = experiment.warm_start
        run.write_environment(warm.described if warm else None)
    run.write_dataset(described)
    sizes = "%(name)s: %(train_images)d training and %(validation_images)d validation images"
    copies = ", of which %(near_copies)d are near copies of training images"
    log.info(sizes + (copies if described["near_copies"] else ""), described)
    shares = "validation masks: %(least).1f to %(most).1f %% missing, %(mean).1f %% on average"
    log.info(shares, described["missing"])


def data_of(experiment: Experiment, run: Run) -> dict[str, Any]:
    """What is trained and validated on; of a resumed run, a `UserError` where that has changed."""
    train, validation = experiment.dataset.train, experiment.validation.images
    masks = experiment.validation.frozen_masks
    described = {
        "name": experiment.dataset.name,
        "image_size": experiment.config.image_size,
        "train_images": len(train),
        "validation_images": len(validation),
        "train_fingerprint": fingerprint(train),
        "validation_fingerprint": fingerprint(validation),
        "mean_colour": [round(float(c), 6) for c in experiment.mean_colour],
        "near_copies": near_copies(validation, train),
        "mask_hash": masks.sha256,
        "missing": masks.missing,
    }
    if labels := experiment.labels[0]:
        described["classes"] = list(labels.names)
    if experiment.config.resume is None:
        return described
    # A folder may have another name by now: fingerprints decide.
    before = run.dataset
    known = (k for k in described if k in before and k != "name")
    if changed := [k for k in known if described[k] != before[k]]:
        raise UserError(
            f"resume={run.path}: the data is not what it was trained on: {', '.join(changed)}"
        )
    return {**before, **described}  # what a newer version wrote stays


def continue_files(
    experiment: Experiment, run: Run, start: int, changed: DictConfig | None
) -> None:
    """Save a changed configuration; drop the lines of metrics that a run of its length has not.

    These are those after `start`, and those written only because a shorter run ended there.
    """
    if changed is not None:
        run.write_config(changed)  # first: killed in between, a run still has the lines of its end
    if start < experiment.intervals.total_steps:  # a run that begins anew may have lines, too
        planned = experiment.intervals.planned
        run.keep_metrics(lambda line: line["step"] <= start and planned(line))


def validate(
    validation: HeldOutSplit,
    model: Model,
    state: TrainState,
    fill_value: jax.Array,
    labels: Labels | None = None,
) -> dict[str, float]:
    """The metrics; of an averaged generator, those of the raw weights beside them.

    With a label head, also the share of the images' `labels` that it finds.
    """
    figures = metrics.summary(validation.generator(state.evaluated, fill_value))
    if model.averaged:
        raw = metrics.summary(validation.generator(state.generator.variables, fill_value))
        figures |= {f"raw_{name}": value for name, value in raw.items()}
    if labels is not None and state.head is not None:
        head = state.head.variables if state.head_ema is None else state.head_ema
        right = validation.classified_right(state.evaluated, head, labels.numbers)
        figures[LABEL_ACCURACY] = right
    return figures


@functools.lru_cache(maxsize=2)  # the jobs of a sweep share them
def baseline_figures(
    dataset: Dataset, model: Model, batch_size: int, sharding: NamedSharding
) -> dict[str, Any]:
    """The validation metrics of the quick fills; `images`: of the first so many, where not of all.

    Where nothing is hidden there is nothing to fill.
    """
    validation = HeldOutSplit(dataset.validation, model, batch_size, sharding)
    count, masks, figures = len(dataset.validation), validation.frozen_masks, {}
    for name, baseline in BASELINES.items():
        if baseline.when == "training" and model.geometry.hides:
            fill, first = prepared(baseline.target, dataset.train, masks.fixed), count
            if masks.fixed is None and baseline.pixels is not None:
                missing = masks.missing["mean"] / 100 * dataset.validation.image_size**2
                first = min(count, max(1, round(baseline.pixels / missing)))
            figures[name] = metrics.summary(validation.baseline(fill, first))
            if first < count:
                figures[name]["images"] = first
    return figures
