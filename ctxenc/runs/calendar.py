"""When things happen in a run."""

from dataclasses import dataclass
from typing import Any

from ctxenc.config.schema import Config

SHORTEST_TEST = 100  # steps: shorter epochs are tested together


@dataclass(frozen=True)
class Calendar:
    """Intervals in steps; what happens at an interval also happens at the last step, `total`."""

    steps_per_epoch: int
    total: int
    log: int
    sample: int
    test: int

    @classmethod
    def of(cls, config: Config, steps_per_epoch: int) -> "Calendar":
        """That of a configuration."""
        epochs_a_test = -(-SHORTEST_TEST // steps_per_epoch)
        return cls(
            steps_per_epoch=steps_per_epoch,
            total=config.max_steps or config.n_epoch * steps_per_epoch,
            log=config.log_every,
            sample=config.n_update,
            test=config.eval_every or steps_per_epoch * epochs_a_test,
        )

    def due(self, step: int, every: int) -> bool:
        """Whether something that happens every so many steps happens now."""
        return step % every == 0 or step == self.total

    def planned(self, line: dict[str, Any]) -> bool:
        """Whether a line of metrics is one that a longer run would have too."""
        return line["step"] % (self.log if line["split"] == "train" else self.test) == 0
