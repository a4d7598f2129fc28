"""What the saved command of a sweep may ask for, and what only a person may type."""

from pathlib import Path

import pytest

from ctxenc.errors import UserError
from ctxenc.sweeps.overrides import check_saved

FILE = Path("sweep.json")

HOSTILE = (
    # Hydra's own keys that run code, or look for files elsewhere.
    "hydra.launcher.setup=[reboot]",
    "hydra.launcher._target_=os.system",
    "hydra.launcher.n_jobs.x=1",
    "hydra.sweeper.custom_search_space=os.system",
    "hydra.sweeper.params.seed=1",
    "hydra.sweeper.sampler._target_=os.system",
    "+hydra.callbacks.x._target_=os.system",
    "+hydra={callbacks:{x:{_target_:os.system}}}",
    "++hydra.job.env_set.PATH=x",
    "hydra.searchpath=[file:///tmp]",
    "hydra.launcher.ray.init.address=elsewhere:1",
    "hydra/job_logging=default",
    "--config-dir=/tmp",
    "-cd=/tmp",
    "hydra/launcher=basic,hydra.launcher.setup=1",
    "+hydra@x=default",
    # Choices that are no names.
    "+experiment=../../../proc/self/cwd/evil",
    "experiment=[seed,../evil]",
    "mask=../evil",
    "mask=center,../evil",
    "mask=choice(center,../evil)",
    "hydra/launcher=../../evil",
    "own_group=../../evil",
    "+own/group=../evil",
    "+mask@_global_=center",
    "+mask@hydra.launcher=center",
    "+own/group@hydra.launcher=x",
    # The environment.
    "mask=${oc.env:HOME}",
    "name=${oc.env:HOME}",
    "mask.mask_height=1,'${oc.env:HOME}'",
    # Code.
    "loss={_target_: os.system}",
    "mask._target_=os.system",
    "mask._target_=ctxenc.masks.boxes.center_box,os.system",
    "++mask._target_=glob(*)",
    "mask._target_=${name}",
    "+mask.parts={a: {_target_: os.system}}",
    "+mask.parts.a=choice({_target_: os.system},{_target_: os.getcwd})",
    "model.generator={_target_: ctxenc.cli.one_line_errors}",
    "+model.generator.layers=[{_target_: os.system}]",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_saved_sweep_runs_no_code_and_reads_no_file_or_environment(text):
    with pytest.raises(UserError):
        check_saved(text, FILE)


def test_code_of_ones_own_says_how_to_allow_it(monkeypatch):
    text = "mask._target_=tests.sweeps.test_trusted.own_mask"
    with pytest.raises(UserError, match=r"sweep\.json: mask\._target_=.*CTXENC_PLUGINS=tests"):
        check_saved(text, FILE)
    monkeypatch.setenv("CTXENC_PLUGINS", "tests")
    check_saved(text, FILE)


def own_mask():
    raise AssertionError


@pytest.mark.parametrize(
    "text",
    [
        "mask=center,random",
        "+experiment=tf_original",
        "mask='center'",
        "+mask@mask.parts.a=center",
        "seed=range(5)",
        "lambda_adv=tag(log,interval(1e-4,1))",
        "mask.mask_height=${image_size}",
        "dataset.path='/a/../b c'",
        "name=a/b.c",
        "own_group=x,y",
        "+own/group=x",
        "+mask.own=0.5",
        "mask._target_=ctxenc.masks.boxes.center_box,ctxenc.masks.boxes.random_box",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "+hydra.launcher.ray.remote.num_gpus=1",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.direction=maximize",
        "~loss",
        "~loss.adversarial",
    ],
)
def test_ordinary_overrides_are_accepted(text):
    check_saved(text, FILE)
