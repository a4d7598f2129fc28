"""Orbax behind one small interface: the latest states of a run, and the best.

Each state is saved with a checksum of its bits, since Orbax reads flipped ones without complaint.
"""

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jaxtyping import Array, PyTree, UInt32
from orbax.checkpoint import checkpoint_managers

from ctxenc.errors import UserError
from ctxenc.parallel.processes import is_main

log = logging.getLogger(__name__)

BEST_BY = "psnr_db"


class Checkpoints:
    """The checkpoints of one run; use it as a context manager, so that saves are waited for.

    Saving is asynchronous and atomic: a process killed in the middle of one leaves the previous
    checkpoint whole. The latest two are kept, should one be damaged, and the one with the best
    test `psnr_db`. Several processes save together, each its own part.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, create: bool = True):
        self._saved: set[int] = set()
        keep = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(2),
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
            cleanup_tmp_directories=not read_only,  # what a killed process left half written
        )
        try:
            self._manager = ocp.CheckpointManager(
                self.folder, options=options, item_handlers=ocp.StandardCheckpointHandler()
            )
        except (ValueError, KeyError) as error:  # it reads every checkpoint's metrics
            raise _damaged_figures(self.folder, error) from error

    def __enter__(self) -> "Checkpoints":
        self._hook, sys.unraisablehook = sys.unraisablehook, _without_closed_loops
        self._failed = False
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._writing():
                self._manager.close()
        except UserError as lost:
            if kind is None:
                raise
            log.error("%s", lost)
        finally:
            if not self._failed:  # else threads have yet to complain
                sys.unraisablehook = self._hook

    def save(self, step: int, state: Any, metrics: dict[str, float] | None = None) -> None:
        """Start saving `state`; without `metrics` it can be the latest, never the best.

        Raises:
            UserError: this save, or the one before it, cannot be written.
        """
        if step in self._saved:
            return
        if step in self._manager.all_steps():
            raise UserError(f"{self.folder / str(step)}: already there, and of another run")
        with self._writing():
            self._manager.save(step, args=ocp.args.StandardSave(_summed(state)), metrics=metrics)
        self._saved.add(step)

    def wait(self) -> None:
        """Block until every save has landed.

        Raises:
            UserError: one of them cannot be written.
        """
        with self._writing():
            self._manager.wait_until_finished()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise many kinds
            self._failed = True
            log.debug("saving failed", exc_info=error)
            whole = saved_steps(self.folder)
            raise UserError(
                f"{self.folder}: a checkpoint cannot be written ({_reason(error)}); "
                f"the last whole one is {self.folder / str(whole[-1]) if whole else 'none'}"
            ) from error

    def latest(self) -> int | None:
        """The last saved step."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """The saved step with the best test `psnr_db`; None where no test came before a save."""
        return self._manager.best_step()

    def restore(self, template: Any, step: int | None = None) -> Any:
        """The saved state of a step, the latest where none is given: see `restore`."""
        return restore(self.folder, template, step)


def saved_steps(folder: Path) -> list[int]:
    """The steps whose checkpoints were written to their end, in order."""
    if not folder.is_dir():
        return []
    return sorted(ocp.path.step.checkpoint_steps(folder.absolute()))


def restore(folder: Path, template: Any, step: int | None = None) -> Any:
    """The saved state of a step in the shapes, types and shardings of `template`.

    Args:
        folder: of the checkpoints.
        template: arrays, or `jax.ShapeDtypeStruct` with shardings.
        step: None for the latest.

    Raises:
        UserError: no such checkpoint, or one that is damaged or of another model.
    """
    folder, steps = folder.absolute(), saved_steps(folder)
    step = steps[-1] if step is None and steps else step
    if step is None or step not in steps:
        raise UserError(f"{folder}: no whole checkpoint here; saved steps: {steps or 'none'}")
    at = folder / str(step)
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
    total = jax.ShapeDtypeStruct((), jnp.uint32, sharding=jax.tree.leaves(abstract)[0].sharding)
    try:
        _check_figures(at)
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            saved = reader.restore(
                at / "default",
                args=ocp.args.StandardRestore({"state": abstract, "checksum": total}),
            )
        if int(checksum(saved["state"])) != int(saved["checksum"]):
            raise ValueError("its bits are not those that were saved")
    except Exception as error:  # Orbax raises many kinds, for missing and for damaged files
        log.debug("restoring failed", exc_info=error)
        others = ", ".join(str(s) for s in steps if s != step)
        raise UserError(
            f"{at}: the checkpoint is damaged or of another model ({_reason(error)}); "
            f"other saved steps: {others or 'none'}"
        ) from error
    return saved["state"]


def drop_after(folder: Path, step: int) -> None:
    """Delete the checkpoints of later steps, damaged ones among them.

    Only the process that writes does (`is_main`).
    """
    if not is_main():
        return
    for later in saved_steps(folder):
        if later > step:
            log.warning("%s: deleted, as the run goes on from step %d", folder / str(later), step)
            shutil.rmtree(folder / str(later))


@jax.jit
def checksum(state: PyTree) -> UInt32[Array, ""]:
    """A sum of all bits of a state: any number of devices finds the same, a flipped bit changes it.

    Each 32-bit word is weighed with an odd number of its own, so words that change places change
    it too; sums of whole numbers do not depend on their order.
    """
    leaves = [leaf for leaf in jax.tree.leaves(state) if leaf.size]
    return jnp.sum(jnp.stack([(2 * i + 1) * _sum(leaf) for i, leaf in enumerate(leaves)]))


def _sum(leaf: Array) -> UInt32[Array, ""]:
    kinds = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}
    words = jax.lax.bitcast_convert_type(leaf, kinds[leaf.dtype.itemsize]).astype(jnp.uint32)
    weights = 2 * jnp.arange(words.size, dtype=jnp.uint32) + 1
    return jnp.sum(words * weights.reshape(words.shape), dtype=jnp.uint32)


def _summed(state: Any) -> dict[str, Any]:
    return {"state": state, "checksum": checksum(state)}


def _score(metrics: dict[str, float]) -> float:
    return metrics[BEST_BY]


def _check_figures(checkpoint: Path) -> None:
    """Raise where the test figures of a checkpoint, if it has any, cannot be read."""
    file = checkpoint / "metrics" / "metrics"
    if file.exists():
        _score(json.loads(file.read_text(encoding="utf-8")))


def _damaged_figures(folder: Path, error: Exception) -> UserError:
    """Name the checkpoint whose test figures cannot be read, which Orbax does not."""
    for step in saved_steps(folder):
        try:
            _check_figures(folder / str(step))
        except Exception:
            return UserError(
                f"{folder / str(step)}: the checkpoint is damaged ({_reason(error)}); "
                "without its folder the others can be read"
            )
    return UserError(f"{folder}: a checkpoint in here is damaged ({_reason(error)})")


def _without_closed_loops(lost: Any) -> None:
    """Where a save fails, TensorStore's threads print a traceback for each array left to write."""
    if str(lost.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(lost)


def _reason(error: Exception) -> str:
    """One line of an error; TensorStore's are pages, with the system's own words in the middle."""
    text = str(error)
    for words in ("No space left on device", "Disk quota exceeded", "File too large"):
        if words in text:
            return words
    line = (text.splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {line}"
