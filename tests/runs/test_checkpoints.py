import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc.errors import UserError
from ctxenc.parallel import processes
from ctxenc.runs import checkpoints as saved
from ctxenc.runs.checkpoints import Checkpoints


@jax.jit
def advance(state):
    return jax.tree.map(lambda x: x + 1, state)


@pytest.fixture
def state():
    return {"weights": jnp.zeros((300, 300)), "step": jnp.zeros((), jnp.int32), "none": None}


def test_the_latest_two_and_the_best_are_kept_and_each_is_the_state_of_its_step(tmp_path, state):
    scores = {1: 2.0, 2: 3.0, 3: 1.0}
    donating = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        for step, score in scores.items():
            state = donating(state)
            checkpoints.save(step, state, {"psnr_db": score})
        state = donating(donating(state))
        checkpoints.save(5, state)  # an interruption: no test before it
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert (checkpoints.latest(), checkpoints.best()) == (5, 2)
        for step in (2, 5):
            restored = checkpoints.restore(state, step)
            assert int(restored["step"]) == step
            np.testing.assert_array_equal(restored["weights"], np.full((300, 300), step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3", "5"]


def test_nothing_saved_is_an_error(tmp_path, state):
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(UserError, match="no whole checkpoint here; saved steps: none"),
    ):
        checkpoints.restore(state)


def test_another_models_checkpoint_is_an_error(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        checkpoints.wait()
        with pytest.raises(UserError, match="damaged or of another model"):
            checkpoints.restore({**state, "weights": jnp.zeros((2, 2))})


def test_a_half_written_checkpoint_does_not_count(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, advance(state))
    torn = tmp_path / "2.orbax-checkpoint-tmp"
    torn.mkdir()
    (torn / "default").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 1
        assert int(checkpoints.restore(state)["step"]) == 1


def test_of_several_processes_one_deletes_the_later_checkpoints(tmp_path, state, monkeypatch):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state)
    monkeypatch.setattr(processes, "_index", 1)
    saved.drop_after(tmp_path, 1)
    assert saved.saved_steps(tmp_path) == [1, 2]
    monkeypatch.setattr(processes, "_index", 0)
    saved.drop_after(tmp_path, 1)
    assert saved.saved_steps(tmp_path) == [1]
