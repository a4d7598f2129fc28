"""A configuration made ready to run: everything that can be refused is refused here.

A plan is made before a run folder is, so that bad input leaves nothing behind.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ctxenc import step
from ctxenc.config import build
from ctxenc.config.schema import Config
from ctxenc.data.fingerprint import fingerprint, mean_colour
from ctxenc.data.images import Dataset
from ctxenc.data.loaders import Order
from ctxenc.errors import UserError
from ctxenc.parallel import devices
from ctxenc.state import Hyper, Model

SHORTEST_EVAL = 100  # steps: shorter epochs are tested together


@dataclass(frozen=True)
class Schedule:
    """When things happen, in steps; each of them also happens at the last step."""

    steps_per_epoch: int
    total: int
    log: int
    sample: int
    test: int

    def due(self, step: int, every: int) -> bool:
        """Whether something that happens every so many steps happens now."""
        return step % every == 0 or step == self.total

    def planned(self, line: dict[str, Any]) -> bool:
        """Whether a line of metrics is one that a longer run would have too."""
        return line["step"] % (self.log if line["split"] == "train" else self.test) == 0


@dataclass(frozen=True)
class Plan:
    """What a run trains, on what, in which order and for how long."""

    config: Config
    model: Model
    dataset: Dataset
    order: Order
    schedule: Schedule

    @classmethod
    def of(cls, config: Config) -> "Plan":
        """The plan of a checked configuration.

        Raises:
            UserError: the data cannot be had, or sizes do not fit together.
        """
        devices.check_batch(config.batch_size)
        model = build.model(config)
        if config.context_weight != 1 and not (model.prediction.whole or model.prediction.band):
            raise UserError(
                f"context_weight={config.context_weight:g}: nothing visible is predicted; it takes "
                "1, or goes with overlap=… or predict=image"
            )
        _trace(model, config)
        dataset = build.dataset(config)
        order = Order(size=len(dataset.train), batch_size=config.batch_size, seed=config.seed)
        if config.num_img > len(dataset.test):
            raise UserError(
                f"num_img={config.num_img}: the test split has {len(dataset.test)} images; "
                f"it takes 1 to {len(dataset.test)}"
            )
        epoch = order.steps_per_epoch
        schedule = Schedule(
            steps_per_epoch=epoch,
            total=config.max_steps or config.n_epoch * epoch,
            log=config.log_every,
            sample=config.n_update,
            test=config.eval_every or epoch * -(-SHORTEST_EVAL // epoch),
        )
        return cls(config, model, dataset, order, schedule)

    @property
    def key(self) -> jax.Array:
        """The run's random key: `fold_in(key, step)` gives a step its masks and flips."""
        return jax.random.key(self.config.seed)

    @cached_property
    def mean_colour(self) -> Float[np.ndarray, " 3"]:
        """The training split's mean colour, in [-1, 1]."""
        return np.asarray(mean_colour(self.dataset.train), np.float32)

    @property
    def hyper(self) -> Hyper:
        """The numeric hyper-parameters as the step takes them."""
        config, fill = self.config, self.config.fill_value
        lambda_rec, lambda_adv = config.weights
        colour = self.mean_colour if fill == "mean" else np.full(3, fill, np.float32)
        return Hyper.of(
            colour,
            lambda_rec=lambda_rec,
            lambda_adv=lambda_adv,
            lambda_seam=config.lambda_seam,
            lambda_r1=config.lambda_r1,
            context_weight=config.context_weight,
            learning_rate_g=config.learning_rate_g,
            learning_rate_d=config.learning_rate_d,
            ema_decay=config.ema_decay or 0.0,
            total=self.schedule.total,
        )

    @property
    def sample_indices(self) -> list[int]:
        """The test images of the sample grids: `num_img` of them, evenly spread."""
        last = len(self.dataset.test) - 1
        return np.linspace(0, last, self.config.num_img).round().astype(int).tolist()

    def describe_data(self) -> dict[str, Any]:
        """What tells one dataset from another: name, sizes, fingerprints, mean colour."""
        train, test = self.dataset.train, self.dataset.test
        return {
            "name": self.dataset.name,
            "image_size": self.config.image_size,
            "train_images": len(train),
            "test_images": len(test),
            "train_fingerprint": fingerprint(train),
            "test_fingerprint": fingerprint(test),
            "mean_colour": [round(float(c), 6) for c in self.mean_colour],
        }


def _trace(model: Model, config: Config) -> None:
    """Run the step on shapes alone, so that sizes which cannot work are refused at once."""
    size, mesh = config.image_size, devices.mesh()
    shape = (config.batch_size, size, size, 3)
    images = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=devices.split(mesh))
    hyper = Hyper.of(np.zeros(3))

    # With the shardings of the run, so that the run finds these traces and need not make others.
    def everywhere(tree: Any) -> Any:
        sharding = devices.replicated(mesh)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
        )

    hyper, key = everywhere((hyper, jax.eval_shape(lambda: jax.random.key(0))))
    state = everywhere(step.init.eval_shape(model, key, size))
    step.train_step.eval_shape(model, state, images, hyper, key)
