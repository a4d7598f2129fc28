"""Orbax behind one small interface: the latest and the best state of a run."""

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from ctxenc.errors import UserError

log = logging.getLogger(__name__)

BEST_BY = "psnr_db"


def _score(metrics: dict[str, float]) -> float:
    return metrics[BEST_BY]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


class Checkpoints:
    """The checkpoints of one run; use it as a context manager, so that saves are waited for.

    Saving is asynchronous and atomic: a process killed in the middle of one leaves the previous
    checkpoint whole. The latest is kept, and the one with the best test `psnr_db`.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, create: bool = True):
        self._saved: set[int] = set()
        keep = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(1),
                checkpoint_managers.BestN(
                    get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep,
            best_fn=_score,
            read_only=read_only,
            create=create and not read_only,
        )
        try:
            self._manager = ocp.CheckpointManager(
                self.folder, options=options, item_handlers=ocp.StandardCheckpointHandler()
            )
        except (ValueError, KeyError) as error:  # it reads every checkpoint's metrics
            raise UserError(
                f"{self.folder}: a checkpoint in here is damaged ({_first_line(error)})"
            ) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def save(self, step: int, state: Any, metrics: dict[str, float] | None = None) -> None:
        """Start saving `state`; without `metrics` it can be the latest, never the best."""
        if step in self._saved:
            return
        if step in self._manager.all_steps():
            raise UserError(f"{self.folder / str(step)}: already there, and of another run")
        self._saved.add(step)
        self._manager.save(step, args=ocp.args.StandardSave(state), metrics=metrics)

    def wait(self) -> None:
        """Block until every save has landed."""
        self._manager.wait_until_finished()

    def latest(self) -> int | None:
        """The last saved step."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """The saved step with the best test `psnr_db`; None where no test came before a save."""
        return self._manager.best_step()

    def restore(self, template: Any, step: int | None = None) -> Any:
        """The saved state in the shapes, types and shardings of `template`.

        Args:
            template: a state, or its `jax.ShapeDtypeStruct`s with shardings.
            step: which one; None for the latest.

        Raises:
            UserError: there is none, or it cannot be read; never a silent fresh start.
        """
        steps = sorted(self._manager.all_steps())
        step = steps[-1] if step is None and steps else step
        if step is None or step not in steps:
            raise UserError(
                f"{self.folder}: no whole checkpoint here; saved steps: {steps or 'none'}"
            )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
        except Exception as error:  # Orbax raises many kinds, for missing and for damaged files
            log.debug("restoring failed", exc_info=error)
            others = [s for s in steps if s != step]
            raise UserError(
                f"{self.folder / str(step)}: the checkpoint is damaged or of another model "
                f"({type(error).__name__}: {_first_line(error)}); "
                f"other saved steps: {others or 'none'}"
            ) from error
