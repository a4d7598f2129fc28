"""How a run ended: everything that must not depend on what happened on the way."""

import jax
import numpy as np
from PIL import Image

from ctxenc import launch, step
from ctxenc.experiment import Experiment
from ctxenc.report import grids
from ctxenc.run_folder import checkpoints

TIMES = ("images_per_second", "waited_for_data")


def final_state(run):
    """Every array of the last checkpoint, by its path."""
    experiment = Experiment.of(launch.check(run.config))
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        step.init.eval_shape(experiment.model, experiment.key, experiment.config.image_size),
    )
    restored = checkpoints.restore(run.checkpoints, template)
    leaves = jax.tree_util.tree_leaves_with_path(restored)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def without_times(run):
    return [{k: v for k, v in line.items() if k not in TIMES} for line in run.lines()]


def below_title(file):
    """The pixels of a sample grid with its captions, but for the title: it names the run."""
    with Image.open(file) as picture:
        _, top, right, _ = map(int, picture.info[grids.PLACE].split())
        return np.asarray(picture)[top:, :right]


def assert_same(found, expected):
    """Exactly: weights, metrics, summary, the last grid."""
    arrays, wanted = final_state(found), final_state(expected)
    assert arrays.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(arrays[name], wanted[name], err_msg=name)
    assert without_times(found) == without_times(expected)
    assert found.summary == expected.summary
    last = expected.status["step"]
    assert found.status["step"] == last
    np.testing.assert_array_equal(
        below_title(found.sample(last)), below_title(expected.sample(last))
    )


def saved(run):
    return checkpoints.saved_steps(run.checkpoints)
