"""Whole runs, small: what a run folder holds, exact resumption, failures that say so."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ctxenc import experiment, launch, step
from ctxenc.baselines import BASELINES
from ctxenc.config import build
from ctxenc.data import images
from ctxenc.data.loaders import MemoryLoader, Sampler
from ctxenc.errors import Interrupted, UserError
from ctxenc.metrics.registry import measured_in_training
from ctxenc.parallel import devices
from ctxenc.report import curves, grids
from ctxenc.report.progress import Bar
from ctxenc.run_folder import run_log
from ctxenc.run_folder.checkpoints import Checkpoints, best_step
from ctxenc.run_folder.session import Background, Session
from ctxenc.run_folder.tensorboard import TensorBoard
from ctxenc.run_folder.trackers import Trackers
from ctxenc.tracking import Tracker
from ctxenc.trained import TrainedModel
from tests.faults.ends import assert_same, final_state, without_times
from tests.faults.programs import SHORT
from tests.small_state import small_state
from tests.tiny import TINY


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, module_in_full):
    with contextlib.chdir(tmp_path_factory.mktemp("undisturbed")):
        return launch.run(*SHORT)


def test_a_run_folder_has_everything(undisturbed):
    run = undisturbed
    assert run.path.parent.name == "context_encoder"
    for name in ("train.log", "status.json", "env.json", "metrics.jsonl", "summary.json"):
        assert (run.path / name).stat().st_size > 0, name
    assert run.status["state"] == "finished"
    assert (run.status["step"], run.status["error"]) == (24, None)
    assert run.status["seconds"] > 0
    assert sorted(p.name for p in run.samples.iterdir()) == ["0000013.png", "0000024.png"]
    assert Image.open(run.curves).size[0] > 500
    assert any(p.name.startswith("events") for p in run.tensorboard.iterdir())
    assert "jax" in json.loads((run.path / "env.json").read_text())["packages"]
    assert run.config.max_steps == 24
    assert "max_steps=24" in (run.path / ".hydra" / "overrides.yaml").read_text()


def test_metrics_lines_and_summary(undisturbed):
    run = undisturbed
    train, validations = run.lines("train"), run.lines("validation")
    assert [line["step"] for line in train] == [5, 10, 15, 20, 24]
    assert [line["step"] for line in validations] == [10, 20, 24]
    assert "seam_loss" not in train[0]  # there is no such term
    assert all(line["masked_fraction"] == 0.25 for line in train)
    total = 0.999 * train[0]["reconstruction_loss"] + 1e-3 * train[0]["adversarial_loss"]
    assert train[0]["generator_loss"] == pytest.approx(total, rel=1e-5)
    both = train[0]["discriminator_loss_real"] + train[0]["discriminator_loss_fake"]
    assert train[0]["discriminator_loss"] == pytest.approx(both / 2, rel=1e-5)
    summary = run.summary
    assert summary["split"] == validations[0]["split"] == "validation"
    assert summary["step"] == summary["last"]["step"] == 24
    assert summary["best"]["psnr_db"] == max(line["psnr_db"] for line in validations)
    for figures in (summary["last"], summary["best"], *summary["baselines"].values()):
        assert set(measured_in_training()) <= set(figures)


def test_the_latest_two_checkpoints_and_the_best_are_kept(undisturbed):
    saved = {int(p.name) for p in undisturbed.checkpoints.iterdir() if p.name.isdigit()}
    assert saved == {20, 24, undisturbed.summary["best"]["step"]}


def test_the_sample_grid_shows_real_masked_and_filled(undisturbed):
    with Image.open(undisturbed.sample(24)) as saved:
        picture = np.asarray(grids.bare(saved))
    scale = -(-grids.SMALLEST_TILE // 16)
    tiles = picture[::scale, ::scale][grids.GAP :, grids.GAP :]
    step_, tile = 16 + grids.GAP, 16
    real, masked, filled = (tiles[r * step_ : r * step_ + tile, :tile] for r in range(3))
    hole = (masked == 255).all(axis=-1)
    assert hole.sum() >= 64
    np.testing.assert_array_equal(real[~hole], masked[~hole])
    np.testing.assert_array_equal(real[~hole], filled[~hole])
    assert (filled[hole] != 255).any()
    assert (filled[hole] != real[hole]).any()


def stop_at(monkeypatch, when, action):
    """Do `action` once, in the middle of the run, right after step `when` was taken."""
    taken = step.train_step

    def train_step(model, state, *rest):
        state, logged = taken(model, state, *rest)
        if not isinstance(state.step, jax.core.Tracer) and int(state.step) == when:
            monkeypatch.setattr(experiment.step, "train_step", taken)
            action()
        return state, logged

    train_step.eval_shape = taken.eval_shape
    monkeypatch.setattr(experiment.step, "train_step", train_step)


def crash():
    raise RuntimeError("power cut")


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("action", "error", "state", "saved"),
    [(crash, RuntimeError, "failed", 10), (terminate, Interrupted, "interrupted", 13)],
)
def test_a_stopped_run_resumes_exactly(
    undisturbed, monkeypatch, action, error, state, saved, tmp_path
):
    """Step 13 lies between checkpoints (10, 20) and log lines (10, 15); an epoch ends at 22."""
    assert undisturbed.lines("validation")[0]["epoch"] == round(10 / 22, 4)
    stop_at(monkeypatch, 13, action)
    with pytest.raises(error):
        launch.run(*SHORT)
    (folder,) = (tmp_path / "experiments" / "context_encoder").iterdir()
    stopped = launch.Run(folder)
    assert stopped.status["state"] == state
    assert max(int(p.name) for p in stopped.checkpoints.iterdir() if p.name.isdigit()) == saved
    seconds = stopped.status["seconds"]

    resumed = launch.run(f"resume={folder}")
    assert resumed.path == folder
    assert resumed.status["state"] == "finished"
    assert resumed.status["seconds"] > seconds
    assert_same(resumed, undisturbed)


def test_resume_refuses_what_would_start_from_scratch_or_change_the_run(tmp_path):
    run = launch.run(*TINY, "max_steps=2")
    with pytest.raises(UserError, match=r"lambda_adv=0.*n_epoch, max_steps, tracker can be"):
        launch.run(f"resume={run.path}", "lambda_adv=0")
    newest = run.checkpoints / "2"
    for file in newest.rglob("*"):
        if file.is_file() and file.stat().st_size > 100 and "ocdbt" in str(file):
            file.write_bytes(b"\0" * 50)
    with pytest.raises(UserError, match="damaged"):
        launch.run(f"resume={run.path}")
    assert run.status["state"] == "finished"  # an attempt that could not begin changes nothing
    newest.rename(tmp_path / "gone")
    with pytest.raises(UserError, match="no whole checkpoint"):
        launch.run(f"resume={run.path}")
    with pytest.raises(UserError, match="not a run folder"):
        launch.run(f"resume={tmp_path}")


def test_a_run_that_went_further_is_the_run_that_was_always_to_go_so_far(undisturbed):
    """13 steps end between log lines and validations, which the longer run does not have there."""
    run = launch.run(*SHORT, "max_steps=13")
    assert [line["step"] for line in run.lines("train")] == [5, 10, 13]
    launch.run(f"resume={run.path}", "max_steps=24")
    assert run.status["step"] == run.summary["step"] == 24
    assert (run.config.max_steps, run.config.resume) == (24, None)
    expected, found = final_state(undisturbed), final_state(run)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert without_times(run) == without_times(undisturbed)
    with pytest.raises(UserError, match="has taken 24 steps already"):
        launch.run(f"resume={run.path}", "max_steps=14")
    with pytest.raises(UserError, match="max_steps=24 decides"):
        launch.run(f"resume={run.path}", "n_epoch=500")
    assert run.config.max_steps == 24
    for order in (["n_epoch=0", "max_steps=null"], ["max_steps=null", "n_epoch=0"]):
        with pytest.raises(UserError, match=r"^n_epoch=0: expected a whole number of at least 1"):
            launch.run(f"resume={run.path}", *order)


def test_a_run_killed_as_it_is_made_longer_loses_nothing(undisturbed, monkeypatch):
    """Between its new length and the metrics that a longer run does not have, whichever is last."""
    run, written = launch.run(*SHORT, "max_steps=13"), []
    with monkeypatch.context() as power:
        for name in ("write_config", "keep_metrics"):
            real = getattr(launch.Run, name)

            def second(self, *rest, real=real):
                written.append(real)
                return real(self, *rest) if len(written) == 1 else crash()

            power.setattr(launch.Run, name, second)
        with pytest.raises(RuntimeError, match="power cut"):
            launch.run(f"resume={run.path}", "max_steps=24")
    launch.run(f"resume={run.path}")
    assert (run.status["step"], run.config.max_steps) == (24, 24)
    assert without_times(run) == without_times(undisturbed)
    assert run.summary == undisturbed.summary


def test_only_one_process_trains_in_a_folder():
    run = launch.run(*TINY, "max_steps=2")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another process is training"):
        launch.run(f"resume={run.path}", "max_steps=4")
    holder.kill()  # the lock dies with its process
    holder.wait()
    launch.run(f"resume={run.path}", "max_steps=4")
    assert run.status["step"] == 4


HOLD_LOCK = """
import sys, time
from ctxenc.run_folder.folder import Run
with Run(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_resumes_from_another_folder_and_by_an_odd_name(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(80):
        picture = Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8))
        picture.save(tmp_path / "pictures" / f"{i}.png")
    data = ["dataset=folder", "dataset.path=pictures", "dataset.test_fraction=0.3"]
    run = launch.run(*TINY, *data, "max_steps=2", "batch_size=16", "hydra.run.dir='a=1,b=(x) é'")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = launch.run("resume=../a=1,b=(x) é/", "max_steps=3")
    assert again.path.samefile(run.path)
    assert run.status["step"] == 3
    with pytest.raises(UserError, match=r"below a name with \["):
        launch.run(*TINY, "max_steps=2", "hydra.run.dir='b=[x]'")


def test_samples_and_checkpoints_go_where_they_are_told(tmp_path):
    places = [f"samples_dir={tmp_path / 'grids'}", "save_dir=models"]
    run = launch.run(*TINY, "max_steps=2", *places)
    assert (tmp_path / "grids" / "0000002.png").exists()
    assert (run.path / "models" / "2").is_dir()
    with pytest.raises(UserError, match="new or empty folder"):
        launch.run(*TINY, "max_steps=2", *places)


@pytest.mark.parametrize("log_every", [2, 100])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    monkeypatch, log_every
):
    """Also where the spoilt step lies in a window that is not read before the next test."""
    real = step.objectives

    def objectives(params, model, state, *rest):
        total, (stats, logged) = real(params, model, state, *rest)
        spoil = jax.numpy.where(state.step == 6, jax.numpy.nan, 0.0)
        return total, (stats, {**logged, "seam_loss": logged["generator_loss"] + spoil})

    monkeypatch.setattr(step, "objectives", objectives)
    build._model.cache_clear()  # a new Model, so that the step is traced with the above
    with pytest.raises(run_log.DivergedError, match="seam_loss is nan"):
        launch.run(*TINY, "max_steps=12", "eval_every=4", f"log_every={log_every}", "name=nan")
    build._model.cache_clear()
    (folder,) = launch.Path("experiments/nan").iterdir()
    run = launch.Run(folder)
    assert run.status["state"] == "failed"
    assert "seam_loss" in run.status["error"]
    assert [p.name for p in run.checkpoints.iterdir() if p.name.isdigit()] == ["4"]


@pytest.mark.parametrize(
    ("seconds", "last", "validations"), [(10, 8, [4]), (0, 8, [1, 2, 3, 4]), (10, 6, [3])]
)
def test_curves_are_drawn_now_and_then_and_at_the_end(seconds, last, validations, monkeypatch):
    """However it ends: a run that stops after step 6 has the curves of its three validations."""
    drawn, run_path, written = [], Path("run"), threading.Event()

    def save(*_):
        drawn.append(len(launch.Run(run_path).lines("validation")))
        written.set()

    def at(session, step, taken=Session.at):
        taken(session, step)
        if not seconds and step > 2 and step % 2:  # in the background there has been time
            assert written.wait(10)
            written.clear()
        if step == last + 1:
            raise RuntimeError("crash")

    monkeypatch.setattr(curves, "save", save)
    monkeypatch.setattr(run_log, "DRAWN_EVERY", seconds)
    monkeypatch.setattr(Session, "at", at)
    command = (*TINY, "max_steps=8", "eval_every=2", f"hydra.run.dir={run_path}")
    with pytest.raises(RuntimeError, match="crash") if last < 8 else contextlib.nullcontext():
        launch.run(*command)
    assert drawn == validations


@pytest.mark.usefixtures("in_full")
def test_a_picture_that_cannot_be_written_costs_no_weights_and_is_made_up_for(monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    real = curves.save
    monkeypatch.setattr(curves, "save", full_disk)
    monkeypatch.setattr(TensorBoard, "figures", full_disk)
    run = launch.run(*TINY, "max_steps=4", "eval_every=4", "name=full")
    assert run.status["state"] == "finished"
    assert [p.name for p in run.checkpoints.iterdir() if p.name.isdigit()] == ["4"]
    assert run.summary["step"] == 4
    for warning in ("not written: OSError", "TensorBoard lacks something of this run: OSError"):
        assert run.log_file.read_text().count(warning) == 1
    monkeypatch.setattr(curves, "save", real)
    assert launch.run(f"resume={run.path}").status["state"] == "finished"
    assert Image.open(run.curves).size[0] > 500


LOGGED = dict.fromkeys(
    ("generator_loss", "discriminator_loss_real", "discriminator_loss_fake", "steps"),
    jnp.ones(()),
)


def run_log_of(run, background):
    pixels = images.MemoryImages(np.zeros((4, 8, 8, 3), np.uint8))
    run.write_config(launch.OmegaConf.create({}))
    return run_log.RunLog(
        run,
        Bar(1000, steps_per_epoch=10, batch_size=8, quiet=True),
        background,
        Trackers(run, Tracker(), 0, background),
        MemoryLoader(pixels, Sampler(4, 1, 0), 0, devices.shardings()[1]),
        run_log.Intervals(
            steps_per_epoch=10,
            total_steps=1000,
            log_every=10,
            sample_every=1000,
            validate_every=1000,
        ),
        start=0,
        batch_size=8,
        sums=None,
        chance_loss=float(np.log(2)),
        baselines={"context_mean": {"psnr_db": 1.0}, "harmonic": {"psnr_db": 2.0}},
    )


def test_the_speed_is_of_when_steps_were_done_and_not_of_when_losses_were_read(
    monkeypatch, tmp_path
):
    run = launch.Run(tmp_path)
    done_at = iter([(4.0, 1.0), (8.0, 1.0), (12.0, 1.0)])
    monkeypatch.setattr(run_log.RunLog, "_end", lambda self, sums: next(done_at))
    monkeypatch.setattr(run_log.RunLog, "_now", lambda self: (2.0, 0.5))
    with Background() as background, run_log_of(run, background) as writer:
        for at in range(2, 31):
            writer.step(at, LOGGED)
            if at == 20:
                writer.flush()  # that of step 10 was read late, this one at once
    told = [(line["images_per_second"], line["waited_for_data"]) for line in run.lines("train")]
    assert told == [(40.0, 0.25), (20.0, 0.0), (20.0, 0.0)]


def test_a_discriminator_that_cannot_tell_real_from_filled_is_told_of(caplog, tmp_path):
    run, half = launch.Run(tmp_path), jnp.log(2.0)
    stuck = LOGGED | {"discriminator_loss_real": half, "discriminator_loss_fake": half}
    with Background() as background, run_log_of(run, background) as writer:
        for at in range(2, 101):
            writer.step(at, stuck if at < 50 else LOGGED)
        writer.flush()
        assert "cannot tell" not in caplog.text
        for at in range(101, 301):
            writer.step(at, stuck)
    assert caplog.text.count("stayed at 0.693") == 1


def test_a_run_knows_which_file_it_began_with(tmp_path):
    (tmp_path / "own.yaml").write_text("defaults: [train, _self_]\nseed: 7\n")
    run = launch.run(*TINY, "max_steps=1", config_dir=tmp_path, config_name="own")
    assert (run.config.seed, run.config_name) == (7, "own")
    launch.run(f"resume={run.path}", "max_steps=2")
    assert run.config_name == "own"


def test_of_equally_good_validations_the_last_is_the_best_as_its_checkpoint_is(tmp_path):
    run = launch.Run(tmp_path)
    with Background() as background, run_log_of(run, background) as writer:
        for at, psnr in ((10, 3.0), (20, 5.0), (30, 5.0), (40, 4.0)):
            writer.validation(at, {"psnr_db": psnr})
        writer.summarise()
    with Checkpoints(tmp_path / "saved") as checkpoints:
        for line in run.lines("validation"):
            checkpoints.save(line["step"], small_state(0), None, {"psnr_db": line["psnr_db"]})
    assert run.summary["best"]["step"] == best_step(tmp_path / "saved") == 30


def test_the_loss_falls_on_real_crops():
    run = launch.run(*TINY, "max_steps=150", "log_every=10", "learning_rate_g=5e-3", "flip=true")
    train = run.lines("train")
    assert train[-1]["reconstruction_loss"] < 0.7 * train[0]["reconstruction_loss"]


def test_a_set_too_large_for_memory_is_streamed_and_trains_the_same(monkeypatch):
    """The two loaders give the same batches, so the two runs are equal."""
    at_once = launch.run(*TINY, "max_steps=4")
    monkeypatch.setattr(images, "MEMORY_LIMIT", 1000)
    build._dataset.cache_clear()
    streamed = launch.run(*TINY, "max_steps=4")
    build._dataset.cache_clear()
    assert without_times(streamed) == without_times(at_once)
    assert streamed.summary == at_once.summary


def test_random_crops_are_trained_on_and_beside_the_baselines_of_a_validation_split_in_memory(
    tmp_path,
):
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(tmp_path / f"{i}.png")
    data = ("dataset=folder", f"dataset.path={tmp_path}", "dataset.resize=18", "batch_size=8")
    baselines = launch.run(*TINY, *data, "max_steps=1", "num_img=1").summary["baselines"]
    assert list(baselines) == [n for n, b in BASELINES.items() if b.when == "training"]


def test_averaged_weights_are_measured_saved_and_resumed_beside_the_raw_ones(monkeypatch):
    """Also the schedule: both continue exactly, and such a run cannot be made longer."""
    recipe = [*TINY, "ema_decay=0.9", "schedule=cosine", "optimizer=adamw", "max_steps=6"]
    whole = launch.run(*recipe, "name=whole")
    last = whole.lines("validation")[-1]
    assert last["psnr_db"] != last["raw_psnr_db"]
    averaged, raw = (
        TrainedModel.load(whole.path, "latest", raw=raw).variables for raw in (False, True)
    )
    assert (flat(averaged) != flat(raw)).any()
    with pytest.raises(UserError, match="this run's schedule ends where the run was to end"):
        launch.run(f"resume={whole.path}", "max_steps=9")

    stop_at(monkeypatch, 3, terminate)
    with pytest.raises(Interrupted):
        launch.run(*recipe, "name=stopped")
    (folder,) = launch.Path("experiments/stopped").iterdir()
    resumed = launch.run(f"resume={folder}")
    np.testing.assert_array_equal(
        flat(TrainedModel.load(folder, "latest").variables), flat(averaged)
    )
    assert resumed.lines("validation")[-1] == last


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
