import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc.errors import UserError
from ctxenc.parallel import devices, processes
from ctxenc.run_folder import checkpoints as saved
from ctxenc.run_folder.checkpoints import Checkpoints
from tests.small_state import small_state


def test_the_latest_two_and_the_best_are_kept_and_each_is_the_state_of_its_step(tmp_path):
    scores = {1: 2.0, 2: 3.0, 3: 1.0}
    with Checkpoints(tmp_path) as checkpoints:
        for step, score in scores.items():
            checkpoints.save(step, small_state(step), None, {"psnr_db": score})
        checkpoints.save(5, small_state(5))  # an interruption: no test before it
    assert saved.saved_steps(tmp_path) == [2, 3, 5]
    assert saved.best_step(tmp_path) == 2
    for step in (2, 5):
        restored = saved.restore(tmp_path, small_state(), step)
        for leaf in jax.tree.leaves(restored):
            np.testing.assert_array_equal(leaf, np.full(leaf.shape, step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3", "5"]


def test_a_generator_is_read_without_what_training_needs(tmp_path):
    """Neither the optimizers' state nor the sums need be there, or be known."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, small_state(4, ema=True), {"steps": jnp.ones(()), "new": jnp.ones(())})
    for item in ("training", "sums"):
        shutil.rmtree(tmp_path / "4" / item)
    template = small_state().generator.variables
    variables, ema = saved.restore_generator(tmp_path, template, 4, averaged=True)
    np.testing.assert_array_equal(variables["params"]["kernel"], np.full((300, 300), 4.0))
    np.testing.assert_array_equal(ema["params"]["kernel"], np.full((300, 300), 4.0))


def test_sums_are_what_was_saved_or_nothing(tmp_path):
    everywhere, _ = devices.shardings()
    sums = {"steps": jnp.full((), 3.0), "generator_loss": jnp.full((), 0.5)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, small_state(1), sums)
        checkpoints.save(2, small_state(2))
    assert {k: float(v) for k, v in saved.restore_sums(tmp_path, 1, everywhere).items()} == {
        "steps": 3.0,
        "generator_loss": 0.5,
    }
    assert saved.restore_sums(tmp_path, 2, everywhere) is None
    for file in (tmp_path / "1" / "sums").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    assert saved.restore_sums(tmp_path, 1, everywhere) is None


def test_nothing_saved_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no whole checkpoint here; saved steps: none"):
        saved.restore(tmp_path, small_state())


def test_another_models_checkpoint_is_an_error(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, small_state(1))
    other = small_state()
    other = other.replace(generator=other.generator.replace(params={"kernel": jnp.zeros((2, 2))}))
    with pytest.raises(UserError, match="damaged or of another model"):
        saved.restore(tmp_path, other)


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, small_state(1))
    torn = tmp_path / "2.orbax-checkpoint-tmp"
    (torn / "generator").mkdir(parents=True)
    assert saved.saved_steps(tmp_path) == [1]
    assert int(saved.restore(tmp_path, small_state()).step) == 1


def test_an_empty_folder_is_no_checkpoint_and_in_nobodys_way(tmp_path):
    (tmp_path / "99").mkdir()
    assert saved.saved_steps(tmp_path) == []
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, small_state())
    assert saved.saved_steps(tmp_path) == [3]
    assert not (tmp_path / "99").exists()


def test_of_several_processes_one_deletes_the_later_checkpoints(tmp_path, monkeypatch):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, small_state(step))
    monkeypatch.setattr(processes, "_index", 1)
    saved.drop_after(tmp_path, 1)
    assert saved.saved_steps(tmp_path) == [1, 2]
    monkeypatch.setattr(processes, "_index", 0)
    saved.drop_after(tmp_path, 1)
    assert saved.saved_steps(tmp_path) == [1]


def test_damaged_test_figures_are_named_before_anything_is_written(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, small_state(step), None, {"psnr_db": float(step)})
    for text in ("{", "[]", "{}", '{"psnr_db": "high"}'):
        (tmp_path / "1" / "metrics" / "metrics").write_text(text)
        for read in (Checkpoints, saved.best_step):
            with pytest.raises(UserError, match=r"/1: the checkpoint is damaged .*without its"):
                read(tmp_path)


def test_the_best_may_be_by_another_figure(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step, score in {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.4}.items():
            figures = {"psnr_db": float(step), "label_accuracy": score}
            checkpoints.save(step, small_state(step), None, figures, "label_accuracy")
    assert saved.saved_steps(tmp_path) == [2, 3, 4]
    assert saved.best_step(tmp_path) == 2


def test_a_label_head_and_its_average_come_back(tmp_path):
    with_head = {n: small_state(n, ema=True).replace(head=small_state(n).generator) for n in (0, 3)}
    averaged = {n: s.replace(head_ema=s.head.variables) for n, s in with_head.items()}
    for states in (with_head, averaged):
        folder = tmp_path / str(states is averaged)
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(3, states[3])
        restored = saved.restore(folder, states[0], 3)
        assert jax.tree.structure(restored) == jax.tree.structure(states[3])
        for found, expected in zip(*map(jax.tree.leaves, (restored, states[3])), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_latest_of_equally_good_checkpoints_is_the_best(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, small_state(step), None, {"psnr_db": 3.0})
    assert saved.best_step(tmp_path) == 2


def test_a_folder_whose_digits_are_no_number_is_named(tmp_path):
    (tmp_path / "²").mkdir()
    with pytest.raises(UserError, match="²"):
        saved.saved_steps(tmp_path)
