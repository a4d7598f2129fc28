"""The loop: images -> step -> records -> checkpoints, for one run folder."""

import contextlib
import logging

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from omegaconf import DictConfig

from ctxenc import step
from ctxenc.data import cache
from ctxenc.data.images import Images, MemoryImages
from ctxenc.data.loaders import Feed, MemoryFeed, StreamedFeed
from ctxenc.errors import UserError
from ctxenc.evaluation import test_split
from ctxenc.metrics import per_image
from ctxenc.parallel import devices, processes
from ctxenc.plan import Plan
from ctxenc.report import progress
from ctxenc.runs import checkpoints as saved
from ctxenc.runs.checkpoints import Checkpoints
from ctxenc.runs.folder import Run
from ctxenc.runs.recorder import Recorder
from ctxenc.runs.status import StatusFile
from ctxenc.runtime import signals
from ctxenc.runtime.background import Background
from ctxenc.sampling import Sampler
from ctxenc.state import TrainState, empty_window

log = logging.getLogger(__name__)


def train(plan: Plan, run: Run, changed: DictConfig | None = None) -> None:
    """Train in `run`'s folder; where the plan resumes, from the folder's latest checkpoint.

    However it ends, ``status.json`` says so. Several processes call it together
    (`ctxenc.parallel.processes`).

    Args:
        plan: what to train.
        run: its folder; one job at a time.
        changed: a resumed run's new configuration, saved once its state is restored.

    Raises:
        UserError: a missing or damaged checkpoint, changed data, a loss that is not finite,
            another process at work in the folder.
        Interrupted: stopped by Ctrl-C or SIGTERM, after a checkpoint; with all steps taken where
            it was asked for during the last one, and then the run is finished.
    """
    schedule = plan.schedule
    live = progress.Live(
        schedule.total,
        steps_per_epoch=schedule.steps_per_epoch,
        batch_size=plan.config.batch_size,
        quiet=not processes.is_main(),
    )
    with contextlib.ExitStack() as stack:
        processes.together(lambda: stack.enter_context(run.lock()))
        stack.enter_context(run.logging(live.handler()))
        stack.enter_context(live)
        request = stack.enter_context(signals.requests())
        status_file = StatusFile(run, resumed=plan.config.resume is not None)
        processes.at_failure(lambda message: status_file.write("failed", message))
        try:
            _train(plan, run, status_file, live, request, changed)
        except KeyboardInterrupt as stop:  # Interrupted, or a second Ctrl-C, which saves nothing
            status_file.write("interrupted", str(stop) or "SIGINT twice: not saved")
            if not isinstance(stop, signals.Interrupted):
                processes.abandon(stop)
            raise
        except BaseException as error:
            log.debug("failed", exc_info=error)
            processes.abandon(error)
            status_file.write("failed", f"{type(error).__name__}: {error}")
            raise
        status_file.write("finished")
        if request.signum:
            raise signals.Interrupted(request.signum)


def _train(
    plan: Plan,
    run: Run,
    status_file: StatusFile,
    live: progress.Live,
    request: signals.Request,
    changed: DictConfig | None,
) -> None:
    config, model, schedule = plan.config, plan.model, plan.schedule
    mesh = devices.mesh()
    everywhere, divided = devices.replicated(mesh), devices.split(mesh)
    resumed = config.resume is not None
    if not resumed:
        run.write_environment()
    hyper, key = devices.put((plan.hyper, plan.key), everywhere)
    test = test_split.TestSplit(plan.dataset.test, model, config.batch_size, divided)
    processes.together(lambda: describe(plan, run, test))
    state = initial_state(plan, run, everywhere)
    start, vote = int(state.step), devices.Vote(mesh)
    with (
        Background() as background,
        Checkpoints(run.checkpoints, create=not resumed) as checkpoints,
        contextlib.ExitStack() as stack,
    ):
        status_file.begin(start)
        if changed is not None:
            run.write_config(changed)  # before the next: else a run killed here would lose its end
        if resumed and start < schedule.total:
            run.keep_metrics(lambda line: line["step"] <= start and schedule.planned(line))
        feed = training_feed(plan, start, divided)
        recorder = Recorder(
            run,
            live,
            background,
            feed,
            start=start,
            batch_size=config.batch_size,
            steps_per_epoch=schedule.steps_per_epoch,
            losses=model.losses,
            blind=model.adversarial.blind if model.adversarial else None,
            baselines=baselines(plan, test),
        )
        stack.enter_context(recorder)
        sampler = Sampler(plan, run, background, hyper, divided)

        for done in range(start + 1, schedule.total + 1):
            state = devices.settled(step.train_step(model, state, feed.take(state), hyper, key))
            status_file.step = done
            live.step(done)
            if done == start + 1:
                jax.block_until_ready(state)  # compiling is not training speed
                recorder.restart_clock(done)
            if schedule.due(done, schedule.log):
                recorder.losses(done, state.window)
                if done % schedule.log == 0:  # else a longer run would have gone on summing
                    state = state.replace(window=devices.put(empty_window(), everywhere))
            if schedule.due(done, schedule.sample):
                recorder.flush()  # stops a run whose losses are not finite before it is shown
                sampler.save(done, state)
            if schedule.due(done, schedule.test):
                recorder.stop_unless_finite(done, state)
                figures = per_image.summary(test.generator(state.tested, hyper.fill))
                if model.averaged:
                    raw = per_image.summary(test.generator(state.generator.variables, hyper.fill))
                    figures |= {f"raw_{name}": value for name, value in raw.items()}
                recorder.test(done, figures)
                checkpoints.save(done, state, figures)
                recorder.summarise()
                background.check()  # after the save: a picture may not cost the weights
                status_file.write("running")
                recorder.restart_clock(done)
            asked = vote.cast(request.signum)
            if asked and done < schedule.total:
                stop = signals.Interrupted(asked)
                recorder.stop_unless_finite(done, state)
                checkpoints.save(done, state)
                checkpoints.wait()
                log.warning("step %d: stopped by %s; saved", done, stop)
                raise stop
        if start >= schedule.total:  # nothing was left but, perhaps, pictures
            sampler.save(start, state)
            recorder.summarise()


def initial_state(plan: Plan, run: Run, sharding: NamedSharding) -> TrainState:
    """A fresh state, or where the plan resumes that of a checkpoint: `resume_step`, or the latest.

    Raises:
        UserError: no such checkpoint, or a damaged one; the others are named.
    """
    key, size = devices.put(plan.key, sharding), plan.config.image_size
    if plan.config.resume is None:
        return jax.device_put(step.init(plan.model, key, size), sharding)
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        step.init.eval_shape(plan.model, plan.key, size),
    )
    wanted = plan.config.resume_step
    try:
        state: TrainState = saved.restore(run.checkpoints, template, wanted)
    except UserError as error:
        older = [at for at in saved.saved_steps(run.checkpoints) if wanted is None or at < wanted]
        older = older if wanted is not None else older[:-1]
        hint = f"; resume_step={older[-1]} goes on from there" if older else ""
        raise UserError(f"{error}{hint}") from error
    if wanted is not None:
        processes.together(lambda: saved.drop_after(run.checkpoints, wanted))
    return state


def training_feed(plan: Plan, start: int, sharding: NamedSharding) -> Feed:
    """Batches of uint8 training images from step `start` on, on the devices."""
    images = plan.dataset.train
    if isinstance(images, MemoryImages):
        return MemoryFeed(images, plan.order, start, sharding)
    return StreamedFeed(images, plan.order, start, sharding, plan.config.num_workers)


def describe(plan: Plan, run: Run, test: test_split.TestSplit) -> None:
    """Write ``dataset.json``; for a resumed run, refuse data that is no longer the same."""
    missing = test.missing()
    description = {**plan.describe_data(), "mask_hash": test.mask_hash(), "missing": missing}
    before = run.dataset if plan.config.resume is not None else {}
    if changed := [key for key, value in before.items() if value != description.get(key)]:
        told = ", ".join(changed)
        raise UserError(f"resume={run.path}: the data is not what it was trained on: {told}")
    run.write_dataset(description)
    log.info("%(name)s: %(train_images)d training and %(test_images)d test images", description)
    log.info("test masks: %(least).1f to %(most).1f %% missing, %(mean).1f %% on average", missing)


def baselines(plan: Plan, test: test_split.TestSplit) -> dict[str, dict[str, float]]:
    """The test figures of the two fills that need no training."""
    return _baselines(test.images, test, tuple(plan.mean_colour.tolist()))


@cache.for_the_next_job
def _baselines(
    _: Images, test: test_split.TestSplit, colour: tuple[float, ...]
) -> dict[str, dict[str, float]]:
    return {
        "mean_colour": per_image.summary(test.mean_colour(jnp.asarray(colour))),
        "context_mean": per_image.summary(test.context_mean()),
    }
