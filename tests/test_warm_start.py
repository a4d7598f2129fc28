"""Runs that begin with the weights of another, ``init_from=``, small."""

import contextlib
import json
import shutil
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ctxenc import experiment, launch, state, step
from ctxenc.config.checks import check
from ctxenc.config.compose import compose
from ctxenc.errors import UserError
from ctxenc.evaluation.held_out import HeldOutSplit
from ctxenc.experiment import Experiment
from ctxenc.models.generator import Generator
from ctxenc.parallel import devices
from ctxenc.run_folder import checkpoints
from ctxenc.run_folder.folder import Run
from ctxenc.state import Model
from ctxenc.warm_start import located
from tests.faults.ends import final_state
from tests.faults.programs import SHORT
from tests.programs import program
from tests.tiny import TINY, tiny_model


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run with a discriminator and without an average, in a folder named as a sweep's job."""
    with contextlib.chdir(tmp_path_factory.mktemp("source")):
        return launch.run(*SHORT, "hydra.run.dir='0-lambda_adv=0.001,mask=(center)'")


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A run with an average and without a discriminator."""
    with contextlib.chdir(tmp_path_factory.mktemp("averaged")):
        return launch.run(
            *TINY, "max_steps=4", "eval_every=4", "ema_decay=0.9", "loss=reconstruction"
        )


def beginning(*overrides):
    """(the experiment that a command would train, its state before the first step)."""
    ready = launch.prepare(compose(launch.split_resume(overrides)[1]))
    state, _ = experiment.initial_state(ready, Run("nowhere"), devices.shardings()[0])
    return ready, state


def equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    return all(map(np.array_equal, jax.tree.leaves(found), jax.tree.leaves(expected)))


def test_what_has_the_same_path_and_shape_fits_and_the_rest_remains():
    fresh = {"a": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}, "b": [jnp.zeros(1)] * 2}
    given = {"a": {"kernel": np.ones((3, 3)), "bias": np.ones(3)}, "b": [np.ones(1)], "c": 1.0}
    found, remaining = state.matched(fresh, given)
    assert remaining == ["a/kernel", "b/1"]
    assert equal(
        found,
        {"a": {"kernel": np.zeros((2, 3)), "bias": np.ones(3)}, "b": [np.ones(1), np.zeros(1)]},
    )
    shapes = jax.eval_shape(lambda: fresh)
    assert state.matched(shapes, given)[1] == remaining
    assert state.matched(fresh, fresh)[1] == []


def test_optimizers_and_average_begin_at_the_weights_that_were_taken(key):
    """Also those of an optimizer that keeps the weights."""
    keeping = optax.GradientTransformation(lambda params: params, lambda grads, kept, _: kept)
    fields = vars(tiny_model()) | {"averaged": True, "optimizer": keeping}
    model = Model(**fields)
    other, drawn = step.init(model, jax.random.key(7), 16), step.init(model, key, 16)
    state = step.init(model, key, 16, {"generator": jax.device_get(other.generator.variables)})
    assert equal(state.generator, other.generator)
    assert equal(state.ema, other.generator.variables)
    assert equal(state.discriminator, drawn.discriminator)
    assert not equal(state.generator.opt_state, drawn.generator.opt_state)


@pytest.mark.parametrize("wanted", [20, 24])
def test_a_run_where_nothing_else_changes_begins_with_the_figures_of_its_source(source, wanted):
    ready, state = beginning(*SHORT, f"init_from={source.path}@{wanted}", "seed=5")
    split = HeldOutSplit(ready.dataset.validation, ready.model, 64, devices.shardings()[1])
    figures = experiment.validate(split, ready.model, state, ready.hyper["fill_value"])
    (line,) = [line for line in source.lines("validation") if line["step"] == wanted]
    assert figures == {name: line[name] for name in figures}
    template = devices.on_devices(state, devices.shardings()[0])
    trained = checkpoints.restore(source.checkpoints, template, wanted)
    assert equal(state.discriminator.variables, trained.discriminator.variables)
    assert equal(state.generator.variables, trained.generator.variables)
    fresh = step.init(ready.model, ready.key, 16)
    assert int(state.step) == 0
    before = jax.tree.map(np.copy, ready.warm_start.weights)
    batch = jax.device_put(np.zeros((64, 16, 16, 3), np.uint8), devices.shardings()[1])
    for network in ("generator", "discriminator"):
        opt_state = getattr(fresh, network).opt_state
        assert equal(getattr(state, network).opt_state, opt_state)
    step.train_step(ready.model, state, batch, ready.hyper, ready.key)  # takes the state's place
    assert equal(ready.warm_start.weights, before)


def test_where_the_source_kept_an_average_it_is_taken(averaged):
    ready, state = beginning(*TINY, f"init_from={averaged.path}", "loss=reconstruction")
    split = HeldOutSplit(ready.dataset.validation, ready.model, 32, devices.shardings()[1])
    figures = experiment.validate(split, ready.model, state, ready.hyper["fill_value"])
    line = averaged.lines("validation")[-1]
    assert figures == {name: line[name] for name in figures}
    assert line["psnr_db"] != line["raw_psnr_db"]
    assert ready.warm_start.described["weights"] == "averaged"
    _, state = beginning(*TINY, f"init_from={averaged.path}", "loss=joint", "ema_decay=0.5")
    assert equal(state.ema, state.generator.variables)


def test_the_best_saved_step_is_taken_or_the_latest_where_none_was_tested(source, tmp_path):
    best = checkpoints.best_step(source.checkpoints)
    ready, _ = beginning(*SHORT, f"init_from={source.path}")
    assert ready.warm_start.source == f"{source.path}@{best}"
    assert ready.warm_start.lines[0].endswith(f"step {best} (the best), raw weights")
    untested = Run(shutil.copytree(source.path, tmp_path / "x@20"))
    for step_folder in untested.checkpoints.iterdir():
        shutil.rmtree(step_folder / "metrics", ignore_errors=True)
    for asked, which in (("x@20", "24 (the latest)"), ("x@20@20", "20 (as asked)")):
        ready, _ = beginning(*SHORT, f"init_from={asked}")
        assert ready.warm_start.lines[0] == f"{untested.path}, step {which}, raw weights"


CHANGES = {
    ("mask=random", "loss=hinge", "mask_channel=true", "ema_decay=0.9"): (
        "generator: 19 of 20 arrays taken; not taken (shape): params/Conv_0/kernel",
        "discriminator: 14 of 14 arrays taken",
    ),
    ("model.generator.widths=[4,16]", "model.generator.decoder_widths=[16]", "mask=freeform"): (
        "generator: 7 of 20 arrays taken; not taken (shape): batch_stats/BatchNorm_1/BatchNorm_0/"
        "mean, batch_stats/BatchNorm_1/BatchNorm_0/var, batch_stats/BatchNorm_2/BatchNorm_0/mean, "
        "batch_stats/BatchNorm_2/BatchNorm_0/var and 9 more",
        "discriminator: 13 of 14 arrays taken; not taken (shape): params/Dense_0/kernel",
    ),
    ("loss=reconstruction", "optimizer=adamw", "image_size=24", "mask_height=8", "mask_width=8"): (
        "generator: 19 of 20 arrays taken; not taken (shape): params/ChannelwiseDense_0/kernel",
        "discriminator: not taken, as this run trains none",
    ),
    ("mask=random", "predict=hole", "init_from_parts=[discriminator]"): (
        "discriminator: 14 of 14 arrays taken",
    ),
}


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_what_fits_another_mask_loss_or_network_is_taken_and_the_rest_is_said(source, changes):
    composed = compose(launch.split_resume([*TINY, f"init_from={source.path}@24", *changes])[1])
    assert launch.prepare(composed).warm_start.lines[1:] == CHANGES[changes]


def test_a_run_under_another_mask_and_loss_says_where_it_began(source):
    changes, told = next(iter(CHANGES.items()))
    run = launch.run(*TINY, f"init_from={source.path}", "max_steps=2", *changes)
    assert (run.status["state"], run.status["step"]) == ("finished", 2)
    best, text = checkpoints.best_step(source.checkpoints), run.log_file.read_text()
    for line in (f"{source.path}, step {best} (the best), raw weights", *told):
        assert f"init_from: {line}\n" in text
    assert run.config.init_from == f"{source.path}@{best}"
    described = json.loads((run.path / "env.json").read_text())["init_from"]
    assert int(described.pop("checksum"), 16) > 0
    assert described == {
        "run": str(source.path),
        "name": "context_encoder",
        "step": best,
        "weights": "raw",
        "parts": ["generator", "discriminator"],
    }


class Unlike(Generator):
    """A generator none of whose arrays another has."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(3 * self.output_size[0] * self.output_size[1])(x.reshape(len(x), -1))
        return jnp.tanh(x).reshape(-1, *self.output_size, 3)


UNLIKE = "model.generator._target_=tests.test_warm_start.Unlike"
ONLY_D = "init_from_parts=[discriminator]"
BAD = {
    ("/nowhere",): r"init_from=/nowhere: /nowhere: not a run folder",
    ("nowhere,0-x=1",): r"init_from=\S+/nowhere,0-x=1: .*not a run folder",
    ("{}@999",): r"@999: \S+: no whole checkpoint of step 999 here; saved steps: \[.*20, 24\]",
    ("{}@best",): r"@best: .*not a run folder",
    ("",): r"init_from=: empty; expected a folder",
    ("{}", "init_from_parts=[]"): r"init_from_parts=\[\]: expected \[generator\], \[discrim",
    ("{}", "init_from_parts=[optimizer]"): r"init_from_parts=\['optimizer'\]: expected \[generator",
    ("{}", "init_from_parts=generator"): r"init_from_parts=generator: expected \[generator\]",
    (
        "{}",
        UNLIKE,
        "init_from_parts=[generator]",
    ): r"nothing fits \(generator: 0 of 2 arrays taken;",
    ("{}", "loss=reconstruction", ONLY_D): r"nothing fits \(discriminator: .*this run trains none",
    ("{averaged}", ONLY_D): r"nothing fits \(discriminator: not taken, as that run trains none",
}


@pytest.mark.parametrize("given", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_nothing_is_written(given, source, averaged, tmp_path):
    where = given[0].replace("{}", str(source.path)).replace("{averaged}", str(averaged.path))
    with pytest.raises(UserError, match=BAD[given]) as refusal:
        launch.run(*TINY, f"init_from={where}", *given[1:])
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("item", ["generator", "training"])
def test_a_damaged_checkpoint_is_one_line_and_nothing_is_written(source, tmp_path, item):
    damaged = Run(shutil.copytree(source.path, tmp_path / "damaged"))
    for file in (damaged.checkpoints / "24" / item).rglob("*"):
        if file.is_file() and file.stat().st_size > 100 and "ocdbt" in str(file):
            file.write_bytes(b"\0" * 50)
    with pytest.raises(UserError, match=r"init_from=\S+@24: .*24: the checkpoint is damaged"):
        launch.run(*TINY, f"init_from={damaged.path}@24")
    assert [p.name for p in tmp_path.iterdir()] == ["damaged"]
    if item == "training":  # which the generator does not need
        beginning(*TINY, f"init_from={damaged.path}@24", "init_from_parts=[generator]")


def test_a_discriminator_that_the_source_lacks_is_drawn_and_said(averaged):
    ready, state = beginning(*TINY, f"init_from={averaged.path}")
    drawn = step.init(ready.model, ready.key, 16)
    assert equal(state.discriminator, drawn.discriminator)
    assert ready.warm_start.lines[2] == "discriminator: not taken, as that run trains none"


def test_a_run_goes_on_without_its_source_and_ends_as_if_it_never_stopped(source, tmp_path):
    copy = Path(shutil.copytree(source.path, tmp_path / "copy"))
    command = [*SHORT, f"init_from={copy}@24", "seed=3"]
    whole = launch.run(*command, "max_steps=13", "name=whole")
    run = launch.run(*command, "max_steps=10", "name=stopped")
    copy.rename(tmp_path / "gone")
    launch.run(f"resume={run.path}", "max_steps=13")
    assert run.status["step"] == 13
    assert run.config.init_from == f"{copy}@24"
    assert json.loads((run.path / "env.json").read_text())["init_from"]["run"] == str(copy)
    with pytest.raises(UserError, match="only resume_step, distributed, n_epoch, max_steps"):
        launch.run(f"resume={run.path}", f"init_from={copy}")
    (tmp_path / "gone").rename(copy)  # which makes a template of the state here
    found, expected = final_state(run), final_state(whole)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_a_sweep_begins_with_other_runs_and_goes_on_without_them(source, tmp_path):
    names = ("0-x=1,y=2", "0-x=1")
    copies = [Path(shutil.copytree(source.path, tmp_path / name)) for name in names]
    best = checkpoints.best_step(source.checkpoints)
    given = "init_from=0-x=1,y=2,null,0-x=1@20"
    printed = program("train", "--multirun", *SHORT, "max_steps=2", given, "mask=random")
    sweep = Path(printed.splitlines()[-1])
    jobs = [Run(p) for p in sorted(sweep.iterdir()) if p.is_dir()]
    called = ["0-init_from=0-x=1,y=2", "1-init_from=null", "2-init_from=0-x=1@20"]
    assert [job.path.name for job in jobs] == called
    begun = [f"{copies[0]}@{best}", None, f"{copies[1]}@20"]
    assert [job.config.init_from for job in jobs] == begun
    command = json.loads((sweep / "sweep.json").read_text())["command"]
    assert f"init_from='{copies[0]}',null,'{copies[1]}@20'" in command
    (table,) = json.loads(program("compare", sweep, "--format=json"))["tables"]
    assert {row["run"][0]: row["init_from"] for row in table["rows"]} == {
        **{"0": begun[0], "1": "null", "2": begun[2]}
    }
    shown = program("compare", sweep)  # in a column or, where that is too wide, as key=value
    assert f"0-x=1,y=2@{best}" in shown
    assert f"/0-x=1,y=2@{best}" not in shown

    for copy in copies:
        shutil.rmtree(copy)
    jobs[0].write_status("running", step=1, seconds=1.0)  # killed after its last checkpoint
    shutil.rmtree(jobs[2].checkpoints)
    jobs[2].write_status("running", step=1, seconds=1.0)  # and before its first
    with pytest.raises(AssertionError):  # as one job fails
        program("train", f"resume={sweep}")
    assert [job.state for job in jobs] == ["finished", "finished", "failed"]
    assert f"init_from={copies[1]}@20: " in jobs[2].status["error"]


QUOTED = {
    "a=1,b": "'{}/a=1,b'",
    "a=1,b@3": "'{}/a=1,b@3'",
    "a=1,b@3,a=1,c@4/": "'{}/a=1,b@3','{}/a=1,c@4'",
    "null,c@4": "null,'{}/c@4'",
    "a=1": "'{}/a=1'",  # not there, which reading it will say
    "null": "null",
    "'a=1,b','c'": "'a=1,b','c'",
    "${name}": "${name}",
    "choice(b,c)": "choice(b,c)",
    "": "",
}


@pytest.mark.parametrize("text", QUOTED)
def test_folders_are_taken_as_they_stand(text, tmp_path):
    for name in ("a=1,b", "a=1,c@4", "c@4", "b"):
        (tmp_path / name).mkdir()
    given = ["seed=1", f"init_from={text}", "resume=a=1,b"]
    expected = QUOTED[text].replace("{}", str(tmp_path))
    assert launch.split_resume(given) == ("a=1,b", ["seed=1", f"init_from={expected}"])


def test_a_step_is_told_from_a_folders_name(tmp_path):
    (tmp_path / "c@4").mkdir()
    assert located("c@4") == (Path("c@4"), None)
    assert located("c@4@5") == (Path("c@4"), 5)
    assert located("d@4") == (Path("d"), 4)
    assert located("d@x") == (Path("d@x"), None)
    assert located("~/d@4") == (Path.home() / "d", 4)


def test_a_relative_path_in_a_configuration_becomes_absolute(tmp_path):
    assert compose(["init_from='a=1@3'"]).init_from == str(tmp_path / "a=1@3")
    assert check(compose()).init_from is None
    assert Experiment.of(check(compose(TINY))).warm_start is None
