"""The loop: images -> step -> records -> checkpoints, for one run folder."""

import logging
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from omegaconf import DictConfig

from ctxenc import devices, interruption, masks, metrics, step
from ctxenc.background import Background
from ctxenc.checkpoints import Checkpoints
from ctxenc.data.feeds import Feed, MemoryFeed, StreamedFeed
from ctxenc.data.images import MemoryImages, decode
from ctxenc.errors import UserError
from ctxenc.evaluation import held_out
from ctxenc.gan import GanState, Hyper, empty_window
from ctxenc.plan import Plan
from ctxenc.recording import Recorder
from ctxenc.report import grids, progress
from ctxenc.runs import Run

log = logging.getLogger(__name__)


def train(plan: Plan, run: Run, changed: DictConfig | None = None) -> None:
    """Train in `run`'s folder; where the plan resumes, from the folder's latest checkpoint.

    However it ends, ``status.json`` says so.

    Args:
        plan: what to train.
        run: its folder; one process at a time.
        changed: a resumed run's new configuration, saved once its state is restored.

    Raises:
        UserError: a missing or damaged checkpoint, changed data, a loss that is not finite,
            another process at work in the folder.
        Interrupted: stopped by Ctrl-C or SIGTERM, after a checkpoint.
    """
    schedule = plan.schedule
    live = progress.Live(
        schedule.total,
        steps_per_epoch=schedule.steps_per_epoch,
        batch_size=plan.config.batch_size,
    )
    with (
        run.lock(),
        run.logging(live.handler()),
        live,
        interruption.requests() as request,
    ):
        sitting = Sitting(run, resumed=plan.config.resume is not None)
        try:
            _train(plan, run, sitting, live, request, changed)
        except KeyboardInterrupt as stop:  # Interrupted, or a second Ctrl-C, which saves nothing
            sitting.write("interrupted", str(stop) or "SIGINT twice: not saved")
            raise
        except BaseException as error:
            log.debug("failed", exc_info=error)
            sitting.write("failed", f"{type(error).__name__}: {error}")
            raise
        sitting.write("finished")


class Sitting:
    """One process's work on a run: keeps ``status.json`` true.

    A resumed run keeps its old status until its state is restored, so that an attempt that cannot
    even begin changes nothing.
    """

    def __init__(self, run: Run, *, resumed: bool):
        self._run, self._began = run, time.monotonic()
        self._before: float = run.status.get("seconds", 0.0) if resumed else 0.0
        self.step, self._begun = 0, False
        if not resumed:
            self.begin(0)

    def begin(self, step: int) -> None:
        """Say that the run is under way from `step` on."""
        self.step, self._begun = step, True
        self.write("running")

    def write(self, state: str, error: str | None = None) -> None:
        """Write the status with the seconds of every sitting so far."""
        if not self._begun:
            return
        seconds = self._before + time.monotonic() - self._began
        self._run.write_status(state, step=self.step, seconds=seconds, error=error)


def _train(
    plan: Plan,
    run: Run,
    sitting: Sitting,
    live: progress.Live,
    request: interruption.Request,
    changed: DictConfig | None,
) -> None:
    config, gan, schedule = plan.config, plan.gan, plan.schedule
    mesh = devices.mesh()
    everywhere, divided = devices.replicated(mesh), devices.split(mesh)
    if config.resume is None:
        run.write_environment()
    resumed = config.resume is not None
    with (
        Background() as background,
        Checkpoints(run.checkpoints, create=not resumed) as checkpoints,
    ):
        hyper, key = jax.device_put((plan.hyper, plan.key), everywhere)
        test = held_out.TestSplit(plan.dataset.test, gan, config.batch_size, divided)
        describe(plan, run, test)
        state = initial_state(plan, checkpoints, everywhere)
        start = int(state.step)
        sitting.begin(start)
        if config.resume is not None and start < schedule.total:
            run.keep_metrics(lambda line: line["step"] <= start and schedule.planned(line))
        if changed is not None:
            run.write_config(changed)
        feed = training_feed(plan, start, divided)
        recorder = Recorder(
            run,
            live,
            background,
            feed,
            start=start,
            batch_size=config.batch_size,
            steps_per_epoch=schedule.steps_per_epoch,
            losses=gan.losses,
            blind=gan.adversarial.blind if gan.adversarial else None,
            baselines=baselines(plan, test),
        )
        sampler = Sampler(plan, run, background, hyper, divided)

        for done in range(start + 1, schedule.total + 1):
            state = step.train_step(gan, state, feed.take(state), hyper, key)
            sitting.step = done
            live.step(done)
            if done == start + 1:
                jax.block_until_ready(state)  # compiling is not training speed
                recorder.restart_clock(done)
            if schedule.due(done, schedule.log):
                recorder.losses(done, state.window)
                if done % schedule.log == 0:  # else a longer run would have gone on summing
                    state = state.replace(window=jax.device_put(empty_window(), everywhere))
            if schedule.due(done, schedule.sample):
                recorder.flush()  # stops a run whose losses are not finite before it is shown
                sampler.save(done, state)
            if schedule.due(done, schedule.test):
                recorder.stop_unless_finite(done, state)
                figures = metrics.summary(test.generator(state.tested, hyper.fill))
                if gan.averaged:
                    raw = metrics.summary(test.generator(state.generator.variables, hyper.fill))
                    figures |= {f"raw_{name}": value for name, value in raw.items()}
                recorder.test(done, figures)
                checkpoints.save(done, state, figures)
                recorder.summarise()
                background.check()  # after the save: a picture may not cost the weights
                sitting.write("running")
                recorder.restart_clock(done)
            if request.signum is not None:
                recorder.stop_unless_finite(done, state)
                checkpoints.save(done, state)
                checkpoints.wait()
                log.warning("step %d: stopped by %s; saved", done, request.name)
                request.raise_if_made()
        if start >= schedule.total:  # nothing was left but, perhaps, pictures
            sampler.save(start, state)
            recorder.summarise()
        recorder.close()


def initial_state(plan: Plan, checkpoints: Checkpoints, sharding: NamedSharding) -> GanState:
    """A fresh state, or the latest checkpoint's where the plan resumes."""
    key = jax.device_put(plan.key, sharding)
    if plan.config.resume is None:
        return jax.device_put(step.init(plan.gan, key, plan.config.image_size), sharding)
    template = step.init.eval_shape(plan.gan, key, plan.config.image_size)
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), template
    )
    return checkpoints.restore(template)


def training_feed(plan: Plan, start: int, sharding: NamedSharding) -> Feed:
    """Batches of uint8 training images from step `start` on, on the devices."""
    images = plan.dataset.train
    if isinstance(images, MemoryImages):
        return MemoryFeed(images.array, plan.order, start, sharding)
    return StreamedFeed(images, plan.order, start, sharding, plan.config.workers)


def describe(plan: Plan, run: Run, test: held_out.TestSplit) -> None:
    """Write ``dataset.json``; for a resumed run, refuse data that is no longer the same."""
    missing = test.missing()
    description = {**plan.describe_data(), "mask_hash": test.mask_hash(), "missing": missing}
    if plan.config.resume is not None and (before := run.dataset) != description:
        changed = ", ".join(k for k in description if description[k] != before.get(k))
        raise UserError(f"resume={run.path}: the data is not what it was trained on: {changed}")
    run.write_dataset(description)
    log.info("%(name)s: %(train_images)d training and %(test_images)d test images", description)
    log.info("test masks: %(least).1f to %(most).1f %% missing, %(mean).1f %% on average", missing)


def baselines(plan: Plan, test: held_out.TestSplit) -> dict[str, dict[str, float]]:
    """The test figures of the two fills that need no training."""
    return {
        "mean_colour": metrics.summary(test.mean_colour(jnp.asarray(plan.mean_colour))),
        "context_mean": metrics.summary(test.context_mean()),
    }


class Sampler:
    """Writes the sample grids: the same test images and masks every time.

    They go through the test's own program, in a batch of the test's size, so that nothing more is
    compiled for them.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        background: Background,
        hyper: Hyper,
        sharding: NamedSharding,
    ):
        self._gan, self._run, self._colour = plan.gan, run, hyper.fill
        self._background = background
        self._count, size = plan.config.num_img, plan.config.image_size
        indices = np.resize(plan.sample_indices, max(self._count, plan.config.batch_size))
        images = decode(plan.dataset.test, indices.tolist())
        mask = held_out.frozen(plan.gan.mask, jnp.asarray(indices), size)
        real = masks.to_float(jnp.asarray(images))
        masked = masks.apply(real, mask, hyper.fill)
        self._batch = jax.device_put((images, mask), sharding)
        self._rows = [np.asarray(row)[: self._count] for row in (real, masked)]

    def save(self, at: int, state: GanState) -> None:
        """Have the grid of a step written: real, masked, filled."""
        filled, _ = step.eval_step(self._gan, state.tested, *self._batch, self._colour)
        self._background.submit(self._write, self._run.sample(at), filled)

    def _write(self, file: Path, filled: jax.Array) -> None:
        grids.save(file, [*self._rows, np.asarray(filled)[: self._count]])
