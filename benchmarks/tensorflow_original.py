"""Times `model=tf_original` against the TensorFlow project that it is taken from.

    python3.11 -m venv tf && tf/bin/pip install tensorflow-cpu==2.21.0
    python benchmarks/tensorflow_original.py --tensorflow tf/bin/python [--rounds 10]

TensorFlow lives in a process and an environment of its own; the two take turns, step by step. The
last line printed is one JSON object with the medians and their ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import jax
import numpy as np

from ctxenc import launch, step
from ctxenc.config.compose import compose


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tensorflow", required=True, help="a Python that can import it")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()

    recipe = ["+experiment=tf_original", "dataset=photos", "augment=none"]
    experiment = launch.prepare(compose(recipe))
    state = step.init(experiment.model, experiment.key, 32)
    numbers, key = experiment.hyper, experiment.key
    images = np.stack([experiment.dataset.train[i] for i in experiment.sampler.indices(0)])
    child = subprocess.Popen(
        [options.tensorflow, str(Path(__file__).with_name("keras_original.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},  # of another XLA
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    ours, theirs = [], []
    for _ in range(options.rounds + 2):
        child.stdin.write("\n")
        child.stdin.flush()
        theirs.append(float(child.stdout.readline()))
        start = time.perf_counter()
        state, _ = step.train_step(experiment.model, state, images, numbers, key)
        jax.block_until_ready(state)
        ours.append(1e3 * (time.perf_counter() - start))
    child.stdin.close()
    child.wait()
    ours_ms, theirs_ms = statistics.median(ours[2:]), statistics.median(theirs[2:])
    found = {
        "ctxenc_ms": round(ours_ms),
        "tensorflow_ms": round(theirs_ms),
        "ratio": round(theirs_ms / ours_ms, 2),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
