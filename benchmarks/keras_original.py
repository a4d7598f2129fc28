"""A step of the project that `model=tf_original` is taken from, for `tensorflow_original.py`.

Written anew in Keras from a description of what that project trains: its networks and how often
each is run, not its code. The generator makes the fakes once in inference mode; the discriminator
is given the real and the filled holes; the generator is trained on the pixel-wise loss and then,
with a second Adam step, on the adversarial one. Each call is one traced `tf.function`, and the
discriminator, which the project left frozen, is trained here.

Takes one step for each line on standard input and answers with its milliseconds.
"""

import sys
import time

import numpy as np
import tensorflow as tf
from tensorflow import keras

BATCH, HOLE, FILL = 64, 16, 1.0
layers = keras.layers
STRIDED = {"kernel_size": 4, "strides": 2, "padding": "same"}


def generator() -> keras.Model:
    """32 × 32 × 3 to the hole, 16 × 16 × 3, through a bottleneck of 4000."""
    parts: list[keras.Layer] = [keras.Input((32, 32, 3))]
    for width in (128, 256, 512):
        parts += [layers.Conv2D(width, **STRIDED), layers.ReLU(), layers.BatchNormalization()]
    parts += [layers.Conv2D(4000, 4), layers.Conv2DTranspose(512, 4)]
    parts += [layers.BatchNormalization(), layers.LeakyReLU(0.2)]
    parts += [layers.Conv2DTranspose(256, **STRIDED)]
    parts += [layers.LeakyReLU(0.2), layers.BatchNormalization()]
    parts += [layers.Conv2DTranspose(3, activation="tanh", **STRIDED)]
    return keras.Sequential(parts)


def discriminator() -> keras.Model:
    """The hole to the probability that it is real."""
    parts: list[keras.Layer] = [keras.Input((HOLE, HOLE, 3))]
    for width in (64, 128, 256):
        parts += [layers.Conv2D(width, **STRIDED), layers.LeakyReLU(0.2)]
        parts += [layers.BatchNormalization()]
    return keras.Sequential([*parts, layers.Flatten(), layers.Dense(1, activation="sigmoid")])


class Project:
    """Both networks with their optimizers."""

    def __init__(self) -> None:
        self.g, self.d = generator(), discriminator()
        self.adam_g, self.adam_d = keras.optimizers.Adam(5e-4), keras.optimizers.Adam(1e-4)
        self.bce, self.mse = keras.losses.BinaryCrossentropy(), keras.losses.MeanSquaredError()

    def take(self, images: np.ndarray) -> None:
        """One step on a batch in [-1, 1]."""
        corners = np.random.default_rng(0).integers(0, HOLE, (BATCH, 2))
        masked, holes = images.copy(), np.empty((BATCH, HOLE, HOLE, 3), np.float32)
        for i, (top, left) in enumerate(corners):
            box = i, slice(top, top + HOLE), slice(left, left + HOLE)
            holes[i] = masked[box]
            masked[box] = FILL
        self._judge(holes, self._fill(masked))
        self._reconstruct(masked, holes)
        self._fool(masked)

    @tf.function
    def _fill(self, masked: tf.Tensor) -> tf.Tensor:
        return self.g(masked, training=False)

    @tf.function
    def _judge(self, holes: tf.Tensor, fills: tf.Tensor) -> None:
        for judged, real in ((holes, 1.0), (fills, 0.0)):
            with tf.GradientTape() as tape:
                loss = self.bce(tf.fill((BATCH, 1), real), self.d(judged, training=True))
            self._update(self.adam_d, self.d, tape, loss)

    @tf.function
    def _reconstruct(self, masked: tf.Tensor, holes: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = 0.999 * self.mse(holes, self.g(masked, training=True))
        self._update(self.adam_g, self.g, tape, loss)

    @tf.function
    def _fool(self, masked: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            judged = self.d(self.g(masked, training=True), training=False)
            loss = 0.001 * self.bce(tf.ones((BATCH, 1)), judged)
        self._update(self.adam_g, self.g, tape, loss)

    def _update(self, adam, network, tape, loss) -> None:  # type: ignore[no-untyped-def]
        variables = network.trainable_variables
        adam.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


def main() -> None:
    """A step a line."""
    project = Project()
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, 32, 32, 3)).astype(np.float32)
    for _ in sys.stdin:
        start = time.perf_counter()
        project.take(images)
        print(1e3 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
