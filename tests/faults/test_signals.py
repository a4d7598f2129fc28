"""Ctrl-C and SIGTERM, once, twice and late."""

import signal

import jax
import pytest

from ctxenc import experiment, launch, step
from ctxenc.errors import Interrupted
from tests.faults.ends import saved
from tests.faults.programs import SHORT


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def send_at(monkeypatch, signals):
    """Send this process signals, each right after a step was taken: {step: [signal, …]}."""
    taken = step.train_step

    def train_step(model, state, *rest):
        state, logged = taken(model, state, *rest)
        if not isinstance(state.step, jax.core.Tracer):
            for signum in signals.pop(int(state.step), ()):
                signal.raise_signal(signum)  # handled before the next is raised
        return state, logged

    train_step.eval_shape = taken.eval_shape
    monkeypatch.setattr(experiment.step, "train_step", train_step)


def stopped(*overrides):
    """The folder of a run that does not come to its end by itself."""
    with pytest.raises(KeyboardInterrupt) as caught:
        launch.run(*SHORT, *overrides, "name=signals")
    (folder,) = launch.Path("experiments/signals").iterdir()
    return launch.Run(folder), caught.value


def test_a_scheduler_may_send_sigterm_again(monkeypatch):
    send_at(monkeypatch, {3: [signal.SIGTERM, signal.SIGTERM]})
    run, error = stopped()
    assert isinstance(error, Interrupted)
    assert (run.status["state"], run.status["error"]) == ("interrupted", "SIGTERM")
    assert saved(run) == [3]


def test_a_second_ctrl_c_does_not_wait_for_the_checkpoint(monkeypatch):
    send_at(monkeypatch, {3: [signal.SIGINT, signal.SIGINT]})
    run, error = stopped()
    assert not isinstance(error, Interrupted)
    assert (run.status["state"], run.status["error"]) == ("interrupted", "SIGINT twice: not saved")
    assert saved(run) == []


def test_a_run_that_is_asked_to_stop_at_its_last_step_is_finished(monkeypatch):
    """What called it is told all the same, so that a sweep stops."""
    send_at(monkeypatch, {6: [signal.SIGTERM]})
    run, error = stopped("max_steps=6")
    assert isinstance(error, Interrupted)
    assert (run.status["state"], run.status["step"]) == ("finished", 6)
    assert run.summary["step"] == 6
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
