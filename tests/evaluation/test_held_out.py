"""What training tests by: every image once, whatever the batch and however many devices."""

import dataclasses
import functools
import os
import subprocess
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctxenc import masks, metrics
from ctxenc.baselines import BASELINES, prepared
from ctxenc.baselines.contract import to_float
from ctxenc.data.images import MemoryImages
from ctxenc.evaluation import held_out
from ctxenc.evaluation.held_out import HeldOutSplit
from ctxenc.masks import boxes
from ctxenc.parallel import devices
from tests import compiling
from tests.tiny import tiny_model

IMAGES = MemoryImages(np.random.default_rng(0).integers(0, 256, (22, 16, 16, 3), np.uint8))
MODEL = tiny_model()


def split(batch_size=8, mask=MODEL.mask):
    _, sharding = devices.shardings()
    return HeldOutSplit(IMAGES, dataclasses.replace(MODEL, mask=mask), batch_size, sharding)


def fill(name, test):
    return prepared(BASELINES[name].target, IMAGES, test.frozen_masks.fixed)


def context_means(test):
    """The metrics of a simple fill, computed all at once."""
    mask = masks.frozen(test.model.mask, jnp.arange(22), 16, 16)
    filled = fill("context_mean", test)(IMAGES.array, np.asarray(mask)[..., 0] > 0)
    real = jnp.asarray(to_float(IMAGES.array))
    return metrics.per_image(real, jnp.asarray(filled), mask, metrics.measured_in_training())


@pytest.mark.parametrize("batch_size", [1, 8, 22, 64])
def test_a_baseline_is_measured_on_every_image_once_whatever_the_batch(batch_size):
    test = split(batch_size)
    found, expected = test.baseline(fill("context_mean", test)), context_means(test)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)


@pytest.mark.parametrize("first", [1, 8, 11, 100])
def test_a_slow_baseline_is_measured_on_the_first_images_alone(first):
    test = split(batch_size=8)
    found, expected = test.baseline(fill("context_mean", test), first), context_means(test)
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name][:first], rtol=1e-4)


def test_a_batch_holds_the_images_that_were_asked_for_and_their_own_masks():
    test = split()
    batch = test.batch(np.array([3, 20, 7]))
    assert batch.valid == 3
    np.testing.assert_array_equal(batch.own[:3], IMAGES.array[[3, 20, 7]])
    np.testing.assert_array_equal(batch.images, batch.own)
    drawn = masks.frozen(test.model.mask, jnp.array([3, 20, 7]), 16, 16)
    np.testing.assert_array_equal(batch.mask[:3], drawn)
    np.testing.assert_array_equal(batch.missing, np.asarray(batch.mask)[..., 0] > 0)


def test_the_generator_is_measured_by_its_composites():
    test = split()
    variables = MODEL.generator.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)), train=False)
    found = test.generator(variables, jnp.ones(3))
    assert {len(values) for values in found.values()} == {22}
    other = split(22).generator(variables, jnp.ones(3))
    for name, values in found.items():
        np.testing.assert_allclose(values, other[name], rtol=1e-3)


def test_what_is_known_of_the_masks():
    center = functools.partial(boxes.center_box, mask_height=8, mask_width=4)
    fixed, moving = split(mask=center), split()
    hole = np.zeros((16, 16), bool)
    hole[4:12, 6:10] = True
    np.testing.assert_array_equal(fixed.frozen_masks.fixed, hole)
    assert moving.frozen_masks.fixed is None
    assert fixed.frozen_masks.missing == {"least": 12.5, "mean": 12.5, "most": 12.5}
    assert len({fixed.frozen_masks.sha256, moving.frozen_masks.sha256}) == 2
    assert split(batch_size=3).frozen_masks.sha256 == moving.frozen_masks.sha256


def test_how_many_masks_are_drawn_at_once_changes_nothing_that_is_known_of_them(monkeypatch):
    at_once = split().frozen_masks
    held_out._frozen_masks.cache_clear()
    monkeypatch.setattr(masks, "MOST_DRAWN", 16 * 16 * 8)
    drawn = mock.Mock(wraps=masks.frozen)
    monkeypatch.setattr(held_out.masks, "frozen", drawn)
    assert split().frozen_masks == at_once
    assert [len(call.args[1]) for call in drawn.call_args_list] == [8, 8, 6]


def test_four_devices_measure_what_one_does():
    code = """
import numpy as np
from tests.evaluation.test_held_out import context_means, fill, split
test = split(batch_size=8)
assert len(test.batch(np.arange(8)).images.sharding.device_set) == 4
found, expected = test.baseline(fill("context_mean", test)), context_means(test)
for name, values in found.items():
    np.testing.assert_allclose(values, expected[name], rtol=1e-4)
"""
    flags = compiling.with_flags("--xla_force_host_platform_device_count=4")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
