"""A run that was killed before its first checkpoint is begun anew in its folder."""

import shutil
import signal

import pytest

from ctxenc import launch
from ctxenc.errors import Interrupted, UserError
from tests.faults.ends import assert_same, saved
from tests.tiny import TINY

RUN = (*TINY, "max_steps=6", "eval_every=3", "log_every=2", "n_update=3")
STAGES = {  # what a process has left, when it is killed before the first checkpoint is whole
    "nothing but the configuration": [".hydra"],
    "a status": [".hydra", "status.json"],
    "all that is known of the data": [".hydra", "status.json", "env.json", "dataset.json"],
    "figures": [".hydra", "status.json", "env.json", "dataset.json", "metrics.jsonl"],
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        return launch.run(*RUN)


def begun(undisturbed, folder, kept, validations=1):
    """A run that was killed as it was writing; half a checkpoint is there, too."""
    run = launch.Run(folder)
    folder.mkdir()
    for name in kept:
        copy = shutil.copytree if name == ".hydra" else shutil.copy
        copy(undisturbed.path / name, folder / name)
    if "status.json" in kept:
        run.write_status("running", step=0, seconds=1.0)
    if "metrics.jsonl" in kept:
        steps = [line["step"] for line in run.lines("validation")][:validations]
        run.keep_metrics(lambda line: line["step"] <= steps[-1])
        (run.path / "checkpoints" / "3.orbax-checkpoint-tmp").mkdir(parents=True)
    return run


@pytest.mark.parametrize("kept", STAGES.values(), ids=STAGES)
def test_it_ends_to_the_bit_as_one_that_was_not_killed(undisturbed, tmp_path, kept, caplog):
    run = begun(undisturbed, tmp_path / "run", kept)
    launch.run(f"resume={run.path}")
    assert "nothing was saved before; the run begins anew" in caplog.text
    assert_same(run, undisturbed)
    assert run.config == undisturbed.config
    assert run.state == "finished"


def test_one_that_got_further_is_not(undisturbed, tmp_path):
    run = begun(undisturbed, tmp_path / "run", STAGES["figures"], validations=2)
    for state in ("running", "finished"):
        run.write_status(state, step=6, seconds=1.0)
        with pytest.raises(UserError, match="no whole checkpoint"):
            launch.run(f"resume={run.path}")
    assert not saved(run)


@pytest.mark.parametrize("where", [(launch, "train"), (launch.Run, "write_config")], ids=str)
def test_a_stop_before_training_is_said_by_the_status(undisturbed, tmp_path, monkeypatch, where):
    def stop(*_):
        patch.undo()
        raise Interrupted(signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted) as stopped:  # noqa: PT012
        patch.setattr(*where, stop)
        launch.run(*RUN, "hydra.run.dir=run")
    run = launch.Run("run")
    assert (run.status["state"], run.status["error"]) == ("interrupted", "SIGTERM")
    assert stopped.value.__notes__ == [f"to go on: python -m ctxenc.train resume={run.path}"]
    assert_same(launch.resume("run"), undisturbed)
