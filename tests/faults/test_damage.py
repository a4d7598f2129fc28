"""A damaged checkpoint is never trained on, and the one before it is offered."""

import contextlib
import shutil

import jax
import jax.numpy as jnp
import pytest

from ctxenc import launch
from ctxenc.errors import UserError
from ctxenc.run_folder import checkpoints
from ctxenc.run_folder.checkpoints import Checkpoints
from tests.faults.ends import assert_same, saved
from tests.faults.programs import SHORT
from tests.small_state import small_state


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Its best test is not its last, so that it keeps two checkpoints."""
    with contextlib.chdir(tmp_path_factory.mktemp("undisturbed")):
        run = launch.run(*SHORT, "learning_rate_g=0.02")
    assert len(saved(run)) == 2, saved(run)
    return run


@pytest.fixture
def run(undisturbed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return launch.Run(shutil.copytree(undisturbed.path, tmp_path / "run"))


def flip_a_bit(checkpoint):
    """In the middle of the weights, which Orbax reads without complaint."""
    largest = max(checkpoint.glob("generator/ocdbt*/d/*"), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def cut_off(checkpoint):
    for file in checkpoint.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:10])


def spoil_figures(checkpoint):
    (checkpoint / "metrics" / "metrics").write_text("{")


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, spoil_figures])
def test_the_checkpoint_before_a_damaged_one_is_offered_and_leads_to_the_same_end(
    run, undisturbed, damage
):
    before, newest = saved(run)
    damage(run.checkpoints / str(newest))
    with pytest.raises(UserError) as caught:
        launch.run(f"resume={run.path}", "max_steps=30")
    message = str(caught.value)
    assert f"{run.checkpoints / str(newest)}: the checkpoint is damaged" in message
    assert f"resume_step={before} continues from there" in message
    assert saved(run) == [before, newest]
    assert run.status["state"] == "finished"  # nothing was changed

    launch.run(f"resume={run.path}", f"resume_step={before}")
    assert_same(run, undisturbed)
    assert saved(run) == [before, newest]
    assert (run.config.resume, run.config.resume_step) == (None, None)


def test_a_step_that_was_not_saved_is_refused_with_those_that_were(run):
    with pytest.raises(UserError, match=rf"saved steps: \[{saved(run)[0]}, {saved(run)[1]}\]"):
        launch.run(f"resume={run.path}", "resume_step=7")
    with pytest.raises(UserError, match="resume_step=7: expected resume"):
        launch.run(*SHORT, "resume_step=7")


def test_every_flipped_bit_changes_the_checksum():
    state = {"a": jnp.arange(7, dtype=jnp.float32), "b": jnp.ones((2, 3), jnp.int32), "c": None}
    known = int(checkpoints.checksum(state))
    words = jax.lax.bitcast_convert_type(state["a"], jnp.uint32)
    for position in range(7):
        for bit in (0, 17, 31):
            flipped = words.at[position].set(words[position] ^ jnp.uint32(1 << bit))
            flipped = jax.lax.bitcast_convert_type(flipped, jnp.float32)
            assert int(checkpoints.checksum({**state, "a": flipped})) != known
    swapped = {**state, "a": state["a"][jnp.array([1, 0, 2, 3, 4, 5, 6])]}
    assert int(checkpoints.checksum(swapped)) != known
    # By hand: 1·(1·5 + 3·7) + 3·(1·2) of whole numbers.
    by_hand = {"a": jnp.array([5, 7], jnp.uint32), "b": jnp.array([2], jnp.uint32)}
    assert int(checkpoints.checksum(by_hand)) == 26 + 3 * 2


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    torn = tmp_path / "2.orbax-checkpoint-tmp"
    (torn / "default").mkdir(parents=True)
    with Checkpoints(tmp_path) as opened:
        opened.save(3, small_state())
    assert not torn.exists()
    assert checkpoints.saved_steps(tmp_path) == [3]
